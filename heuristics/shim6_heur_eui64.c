// SPDX-License-Identifier: GPL-2.0-only
/*
 * The heuristic that skips peers whose interface identifier is made of a MAC address (RFC 4291 appendix A): ff:fe in
 * its middle. Such an address is no CGA and, but for one in 65536, no HBA, so its owner could prove no other locator.
 * To be used with one that triggers.
 */
#include "heuristic.h"

static bool flow_new(const struct shim6_use *use, const struct shim6_pair *ulids, const struct sk_buff *skb)
{
	return ulids->peer.s6_addr[11] != 0xff || ulids->peer.s6_addr[12] != 0xfe;
}

static struct shim6_heuristic heuristic = {
	.name = "eui64",
	.owner = THIS_MODULE,
	.flow_new = flow_new,
};
module_shim6_heuristic(heuristic);

MODULE_DESCRIPTION("shim6 heuristic: no context with addresses made of a MAC address");
MODULE_LICENSE("GPL");
MODULE_ALIAS_SHIM6_HEURISTIC("eui64");
