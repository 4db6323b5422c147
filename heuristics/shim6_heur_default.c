// SPDX-License-Identifier: GPL-2.0-only
/* The heuristic that triggers on volume or age: a short exchange is not worth a context, a long or large one is. */
#include "heuristic.h"

enum { BYTES, AGE_MS };

static bool packet(const struct shim6_use *use, struct shim6_flow *flow, const struct sk_buff *skb, bool sent)
{
	u64 enough = shim6_param(use, BYTES), old = shim6_param(use, AGE_MS);

	return (enough && READ_ONCE(flow->bytes) >= enough) || (old && shim6_flow_age_ms(flow) >= old);
}

static struct shim6_heuristic heuristic = {
	.name = "default",
	.owner = THIS_MODULE,
	.param = {
		/* octets both ways that ask for a context (0: never) */
		[BYTES] = { "bytes", 2048, 0, U64_MAX },
		/* age at which the next packet asks for a context (0: never) */
		[AGE_MS] = { "age_ms", 60000, 0, U32_MAX },
	},
	.packet = packet,
};
module_shim6_heuristic(heuristic);

MODULE_DESCRIPTION("shim6 heuristic: octets or age of a flow");
MODULE_LICENSE("GPL");
MODULE_ALIAS_SHIM6_HEURISTIC("default");
