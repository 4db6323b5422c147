// SPDX-License-Identifier: GPL-2.0-only
/*
 * The heuristic that asks for no more contexts when the network namespace has its share. Peers may still make some.
 * To be used with one that triggers.
 */
#include "heuristic.h"

enum { CONTEXTS };

static bool veto(const struct shim6_use *use, const struct shim6_flow *flow)
{
	return shim6_contexts(use->net) >= shim6_param(use, CONTEXTS);
}

static struct shim6_heuristic heuristic = {
	.name = "limit",
	.owner = THIS_MODULE,
	.param = {
		[CONTEXTS] = { "contexts", 1024, 0, U32_MAX },
	},
	.veto = veto,
};
module_shim6_heuristic(heuristic);

MODULE_DESCRIPTION("shim6 heuristic: a limit to the contexts that are asked for");
MODULE_LICENSE("GPL");
MODULE_ALIAS_SHIM6_HEURISTIC("limit");
