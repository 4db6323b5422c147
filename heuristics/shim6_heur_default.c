// SPDX-License-Identifier: GPL-2.0-only
/* The heuristic that triggers on volume or age: a short exchange is not worth a context, a long or large one is. */
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "heuristic.h"

static ulong bytes = 2048;
module_param(bytes, ulong, 0644);
MODULE_PARM_DESC(bytes, "octets of a flow, both ways, that ask for a context (0: never)");

static uint age_ms = 60000;
module_param(age_ms, uint, 0644);
MODULE_PARM_DESC(age_ms, "age of a flow in milliseconds at which its next packet asks for a context (0: never)");

static bool packet(struct shim6_flow *flow, const struct sk_buff *skb, bool sent)
{
	unsigned long enough = READ_ONCE(bytes);
	unsigned int old = READ_ONCE(age_ms);

	return (enough && READ_ONCE(flow->bytes) >= enough) || (old && shim6_flow_age_ms(flow) >= old);
}

static struct shim6_heuristic heuristic = {
	.name = "default",
	.owner = THIS_MODULE,
	.packet = packet,
};

static int __init heuristic_init(void)
{
	return shim6_register_heuristic(&heuristic);
}

static void __exit heuristic_exit(void)
{
	shim6_unregister_heuristic(&heuristic);
}

module_init(heuristic_init);
module_exit(heuristic_exit);

MODULE_DESCRIPTION("shim6 heuristic: octets or age of a flow");
MODULE_LICENSE("GPL");
MODULE_ALIAS_SHIM6_HEURISTIC("default");
