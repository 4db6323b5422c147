// SPDX-License-Identifier: GPL-2.0-only
#include <linux/inetdevice.h>
#include <linux/module.h>
#include <net/addrconf.h>
#include <net/genetlink.h>
#include <net/if_inet6.h>

#include "shim6.h"

unsigned int shim6_net_id __read_mostly;

DEFINE_PER_CPU(long, shim6_objects[SHIM6_OBJECTS]);

static void __exit check_objects(void)
{
	static const char * const names[SHIM6_OBJECTS] = { "contexts", "path lists", "candidates" };
	unsigned int kind;
	long left;
	int cpu;

	for (kind = 0; kind < SHIM6_OBJECTS; kind++) {
		left = 0;
		for_each_possible_cpu(cpu)
			left += per_cpu(shim6_objects[kind], cpu);
		WARN(left, "shim6: %ld more %s were made than freed\n", left, names[kind]);
	}
}

static int __net_init net_init(struct net *net)
{
	struct shim6_net *sn = shim6_net(net);
	int err;

	sn->net = net;
	sn->gso_mode = SHIM6_GSO_AUTO;
	sn->mib = alloc_percpu(struct shim6_mib);
	if (!sn->mib)
		return -ENOMEM;
	err = shim6_ctx_net_init(sn);
	if (err) {
		free_percpu(sn->mib);
		return err;
	}
	INIT_WORK(&sn->states_gone, shim6_states_gone);
	ratelimit_state_init(&sn->unknown_tag_limit, HZ, 50);
	ratelimit_set_flags(&sn->unknown_tag_limit, RATELIMIT_MSG_ON_RELEASE);
	shim6_flow_net_init(sn);
	shim6_tcp_net_init(sn);
	shim6_hook_net_init(sn);
	return 0;
}

static void __net_exit net_pre_exit(struct net *net)
{
	shim6_unhook(shim6_net(net));
}

/* A grace period after the hooks have gone. */
static void __net_exit net_exit(struct net *net)
{
	struct shim6_net *sn = shim6_net(net);

	cancel_work_sync(&sn->states_gone);
	shim6_stack_select(sn, NULL);
	shim6_gso_rules_select(sn, NULL);
	shim6_flow_flush(sn);
	shim6_ctx_net_exit(sn);
	shim6_tcp_net_exit(sn);
	free_percpu(sn->mib);
}

static struct pernet_operations net_ops = {
	.init = net_init,
	.pre_exit = net_pre_exit,
	.exit = net_exit,
	.id = &shim6_net_id,
	.size = sizeof(struct shim6_net),
};

/* Atomic; the address is in or out of the kernel's table already. */
static int address_changed(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct inet6_ifaddr *ifa = data;
	struct shim6_net *sn = shim6_net(dev_net(ifa->idev->dev));
	struct shim6_ctx *ctx;
	unsigned long id;

	rcu_read_lock();
	xa_for_each(&sn->contexts, id, ctx)
		if (ipv6_addr_equal(&ctx->node.ulids.local, &ifa->addr))
			shim6_ctx_check_ulid(ctx);
	rcu_read_unlock();
	return NOTIFY_OK;
}

static struct notifier_block address_nb = {
	.notifier_call = address_changed,
};

static int __init shim6_init(void)
{
	int err;

	shim6_send_init();
	err = shim6_flow_init();
	if (err)
		return err;
	err = register_pernet_subsys(&net_ops);
	if (err)
		return err;
	err = shim6_xfrm_init();
	if (err)
		goto err_pernet;
	err = register_inet6addr_notifier(&address_nb);
	if (err)
		goto err_xfrm;
	err = shim6_tcp_init();
	if (err)
		goto err_address;
	err = shim6_offload_init();
	if (err)
		goto err_tcp;
	err = shim6_proto_init();
	if (err)
		goto err_offload;
	err = shim6_netlink_init();
	if (err)
		goto err_proto;
	return 0;

err_proto:
	shim6_proto_exit();
err_offload:
	shim6_offload_exit();
err_tcp:
	shim6_tcp_exit();
err_address:
	unregister_inet6addr_notifier(&address_nb);
err_xfrm:
	shim6_xfrm_exit();
err_pernet:
	unregister_pernet_subsys(&net_ops);
	rcu_barrier();
	return err;
}

/* No context is left: their states hold the module. */
static void __exit shim6_exit(void)
{
	shim6_netlink_exit();
	shim6_proto_exit();
	shim6_offload_exit();
	shim6_tcp_exit();
	unregister_inet6addr_notifier(&address_nb);
	shim6_xfrm_exit();
	unregister_pernet_subsys(&net_ops);
	/* Contexts, paths and candidates are freed by RCU. */
	rcu_barrier();
	check_objects();
}

module_init(shim6_init);
module_exit(shim6_exit);

MODULE_DESCRIPTION("Shim6: host-based IPv6 multihoming (RFC 5533, RFC 5534)");
MODULE_LICENSE("GPL");
MODULE_ALIAS_GENL_FAMILY(SHIM6_GENL_NAME);
