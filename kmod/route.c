// SPDX-License-Identifier: GPL-2.0-only
#include <net/ip6_fib.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>

#include "compat.h"
#include "route.h"

int shim6_route_init(struct shim6_path *path)
{
	path->route = alloc_percpu_gfp(struct shim6_route, GFP_KERNEL_ACCOUNT);
	return path->route ? 0 : -ENOMEM;
}

/* A grace period after the last packet could find the path. */
void shim6_route_destroy(struct shim6_path *path)
{
	int cpu;

	if (!path->route)
		return;
	for_each_possible_cpu(cpu)
		dst_release(rcu_dereference_protected(per_cpu_ptr(path->route, cpu)->dst, 1));
	free_percpu(path->route);
}

static bool is_good(struct dst_entry *dst, u32 cookie)
{
	return !READ_ONCE(dst->obsolete) || dst->ops->check(dst, cookie);
}

/* Bottom halves are off. */
static void keep(struct shim6_route *route, struct dst_entry *dst, int vrf)
{
	struct dst_entry *old = rcu_dereference_protected(route->dst, in_softirq());

	if (dst) {
		dst_hold(dst);
		route->cookie = rt6_get_cookie(container_of(dst, struct rt6_info, dst));
		WRITE_ONCE(route->vrf, vrf);
		WRITE_ONCE(route->checked, jiffies);
	}
	rcu_assign_pointer(route->dst, dst);
	dst_release(old);
}

static struct dst_entry *look_up(struct net *net, const struct shim6_path *path, int vrf)
{
	struct flowi6 fl6 = {
		.flowi6_oif = vrf,
		.flowi6_proto = SHIM6_IPPROTO,
		.saddr = path->locators.local,
		.daddr = path->locators.peer,
	};

	return ip6_dst_lookup_flow(net, NULL, &fl6, NULL);
}

/*
 * The route, with a reference; IPsec policy for the locators is in it. It is in the VRF that the ULIDs' route is in.
 * The caller is in an RCU read section.
 */
struct dst_entry *shim6_route_get(struct net *net, struct shim6_path *path, int vrf)
{
	struct shim6_route *route;
	struct dst_entry *dst;

	local_bh_disable();
	route = this_cpu_ptr(path->route);
	dst = rcu_dereference_protected(route->dst, in_softirq());
	if (dst && shim6_vrf_of(dst_dev(dst)) == vrf && is_good(dst, route->cookie)) {
		WRITE_ONCE(route->vrf, vrf);
		WRITE_ONCE(route->checked, jiffies);
		dst_hold(dst);
	} else {
		dst = look_up(net, path, vrf);
		/* A bundle of IPsec is not told when its device goes. */
		keep(route, !IS_ERR(dst) && !dst_xfrm(dst) ? dst : NULL, vrf);
	}
	local_bh_enable();
	return dst;
}
