/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The route between a path's locators, which each CPU keeps and asks about once in a jiffy: for so long packets may
 * leave by one that is no more. dst_cache asks, and counts references, for every packet, which is a third of what
 * rewriting one costs.
 */
#ifndef _SHIM6_ROUTE_H
#define _SHIM6_ROUTE_H

#include <linux/jiffies.h>
#include <linux/netdevice.h>
#include <net/dst.h>
#include <net/l3mdev.h>

#include "shim6.h"

struct shim6_route {
	struct dst_entry __rcu	*dst;	/* with a reference; replaced with bottom halves off */
	u32			cookie;
	int			vrf;
	unsigned long		checked;	/* jiffies */
};

int shim6_route_init(struct shim6_path *path);
void shim6_route_destroy(struct shim6_path *path);
struct dst_entry *shim6_route_get(struct net *net, struct shim6_path *path, int vrf);

/* The VRF that a device is in, 0 for none. The caller is in an RCU read section. */
static inline int shim6_vrf_of(struct net_device *dev)
{
	return netif_is_l3_slave(dev) ? l3mdev_master_ifindex_rcu(dev) : 0;
}

/*
 * The route, without a reference, if this CPU was told in this jiffy that it is good, else NULL. It stays until the
 * caller's RCU read section ends. A softirq or another CPU may come between the loads: then it is one that was good.
 */
static inline struct dst_entry *shim6_route_recent(const struct shim6_path *path, int vrf)
{
	const struct shim6_route *route = raw_cpu_ptr(path->route);
	struct dst_entry *dst = rcu_dereference(route->dst);

	return likely(READ_ONCE(route->checked) == jiffies && READ_ONCE(route->vrf) == vrf) ? dst : NULL;
}

#endif
