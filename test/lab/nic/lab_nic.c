// SPDX-License-Identifier: GPL-2.0-only
/*
 * Plays network hardware that sums up the whole packet it has received (CHECKSUM_COMPLETE), which no virtual device
 * does. For the lab only: all IPv6 packets in all namespaces, as long as it is loaded.
 */
#include <linux/module.h>
#include <linux/netfilter_ipv6.h>
#include <net/net_namespace.h>

static unsigned long summed;
module_param(summed, ulong, 0444);
MODULE_PARM_DESC(summed, "packets");

static unsigned int sum_up(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (skb->ip_summed != CHECKSUM_NONE)
		return NF_ACCEPT;
	skb->csum = skb_checksum(skb, 0, skb->len, 0);
	skb->ip_summed = CHECKSUM_COMPLETE;
	/* As if it had not been software: the stack complains when the sum turns out to be wrong. */
	skb->csum_complete_sw = 0;
	skb->csum_valid = 0;
	summed++;
	return NF_ACCEPT;
}

static const struct nf_hook_ops hook = {
	.hook = sum_up,
	.pf = NFPROTO_IPV6,
	.hooknum = NF_INET_PRE_ROUTING,
	.priority = NF_IP6_PRI_FIRST,
};

static int __net_init net_init(struct net *net)
{
	return nf_register_net_hook(net, &hook);
}

static void __net_exit net_exit(struct net *net)
{
	nf_unregister_net_hook(net, &hook);
}

static struct pernet_operations net_ops = {
	.init = net_init,
	.exit = net_exit,
};

static int __init lab_nic_init(void)
{
	return register_pernet_subsys(&net_ops);
}

static void __exit lab_nic_exit(void)
{
	unregister_pernet_subsys(&net_ops);
}

module_init(lab_nic_init);
module_exit(lab_nic_exit);

MODULE_DESCRIPTION("shim6 lab: hardware that sums up packets");
MODULE_LICENSE("GPL");
