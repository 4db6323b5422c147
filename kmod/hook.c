// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netfilter hooks that bring packets to contexts. A namespace has them while it has a context or a heuristic.
 *
 * Sending is hooked at LOCAL_OUT behind everybody else, so that firewalls and connection tracking see ULIDs; IPsec
 * policies act on ULIDs too, and their packet comes back here. Receiving is hooked before defragmentation: the peer
 * puts the Payload Extension Header into each fragment (RFC 5533 section 4.6), and once it is gone, what follows is
 * under ULIDs. This hook sees packets in transit too, and lets everything pass that is not surely for a context.
 *
 * In a VRF both hooks are called twice, for the VRF's device and for the one that the packet has or will come by:
 * that one counts. What stays in the host goes by the loopback, or by the VRF's device alone, and is none of our
 * business.
 */
#include <linux/icmpv6.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv6.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>
#include <net/ndisc.h>

#include "compat.h"
#include "note.h"
#include "route.h"
#include "shim6.h"

static noinline bool is_ndisc(const struct sk_buff *skb)
{
	u8 _type;
	const u8 *type;

	type = skb_header_pointer(skb, skb_network_offset(skb) + sizeof(struct ipv6hdr), sizeof(_type), &_type);
	return !type || (*type >= NDISC_ROUTER_SOLICITATION && *type <= NDISC_REDIRECT);
}

static bool is_internal(const struct net_device *dev)
{
	return dev->flags & IFF_LOOPBACK || netif_is_l3_master(dev);
}

/*
 * Whether the socket is bound to a device other than the one that the path leaves by. Who binds a socket to a device
 * wants nothing of it to leave by another, which may lead past a tunnel.
 */
static bool is_bound_elsewhere(const struct nf_hook_state *state, struct shim6_path *path, int vrf)
{
	int bound = state->sk && sk_fullsock(state->sk) ? READ_ONCE(state->sk->sk_bound_dev_if) : 0;
	struct dst_entry *dst;
	bool elsewhere;

	if (likely(!bound) || bound == vrf)
		return false;
	dst = shim6_route_get(state->net, path, vrf);
	if (IS_ERR(dst))
		return false;
	elsewhere = dst_dev(dst)->ifindex != bound;
	dst_release(dst);
	return elsewhere;
}

/* A route that only serves to have packets come as far as here. */
static bool leads_nowhere(const struct dst_entry *dst)
{
	const struct fib6_info *from = rcu_dereference(container_of(dst, struct rt6_info, dst)->from);

	return from && from->fib6_protocol == SHIM6_RTPROT;
}

/*
 * Nothing may leave with an address that is no longer ours, or wait for a neighbour where there is none: TCP does not
 * send again what still waits.
 */
static bool may_stay(const struct sk_buff *skb, const struct shim6_ctx *ctx)
{
	return likely(!READ_ONCE(ctx->ulid_gone) && !leads_nowhere(skb_dst(skb)));
}

static noinline unsigned int drop_stranded(struct shim6_net *sn, struct sk_buff *skb)
{
	shim6_count(sn, SHIM6_STAT_TX_NO_ROUTE);
	kfree_skb(skb);
	return NF_STOLEN;
}

/* It has been counted: the rest of what the first packet in a jiffy does, or one that turns the direction. */
static noinline unsigned int send_stamped(struct shim6_net *sn, struct sk_buff *skb, struct shim6_ctx *ctx,
					  struct shim6_paths *paths, struct shim6_path *path)
{
	shim6_stamp_tx(ctx, paths, path);
	if (unlikely(READ_ONCE(sn->rto_hint)))
		shim6_tcp_note_rto(ctx, skb);
	return may_stay(skb, ctx) ? NF_ACCEPT : drop_stranded(sn, skb);
}

/* By a path whose locators are not the ULIDs. */
static noinline unsigned int send_elsewhere(struct shim6_net *sn, struct sk_buff *skb, struct shim6_ctx *ctx,
					    struct shim6_paths *paths, struct shim6_path *path,
					    const struct nf_hook_state *state)
{
	if (is_bound_elsewhere(state, path, shim6_vrf_of(skb_dst_dev(skb)))) {
		shim6_count(sn, SHIM6_STAT_TX_BOUND);
		return may_stay(skb, ctx) ? NF_ACCEPT : drop_stranded(sn, skb);
	}
	if (shim6_count_tx(ctx, paths, path, skb))
		shim6_stamp_tx(ctx, paths, path);
	if (unlikely(READ_ONCE(sn->rto_hint)))
		shim6_tcp_note_rto(ctx, skb);
	return shim6_send(sn, skb, ctx, paths, path, state);
}

static __always_inline unsigned int send_by_node(struct shim6_net *sn, struct sk_buff *skb, struct shim6_node *node,
						 const struct nf_hook_state *state)
{
	struct shim6_paths *paths;
	struct shim6_path *path;
	struct shim6_ctx *ctx;

	if (unlikely(!node->is_ctx)) {
		shim6_flow_note(sn, node, skb, true);
		return NF_ACCEPT;
	}
	ctx = shim6_node_ctx(node);
	paths = rcu_dereference(ctx->paths);
	path = shim6_path_pick(sn, paths, skb->mark);
	if (path->rewrite)
		return send_elsewhere(sn, skb, ctx, paths, path, state);
	if (shim6_count_tx(ctx, paths, path, skb) || unlikely(READ_ONCE(sn->rto_hint)))
		return send_stamped(sn, skb, ctx, paths, path);
	return may_stay(skb, ctx) ? NF_ACCEPT : drop_stranded(sn, skb);
}

/* It is not of a flow that was seen lately. */
static noinline unsigned int send_looked_up(struct shim6_net *sn, struct sk_buff *skb,
					    const struct nf_hook_state *state)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct shim6_node *node;

	if (ipv6_addr_is_multicast(&ip6h->daddr))
		return NF_ACCEPT;
	node = shim6_node_look_up(sn, &ip6h->saddr, &ip6h->daddr);
	if (node)
		return send_by_node(sn, skb, node, state);
	shim6_flow_create(sn, &ip6h->saddr, &ip6h->daddr, skb);
	return NF_ACCEPT;
}

static noinline unsigned int send_icmp(struct shim6_net *sn, struct sk_buff *skb, const struct nf_hook_state *state)
{
	return is_ndisc(skb) ? NF_ACCEPT : send_looked_up(sn, skb, state);
}

/* Here and in pre_routing(), the way of a packet that is only counted has no calls, so that it needs no stack. */
static unsigned int local_out(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct shim6_net *sn = priv;
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct shim6_node *node;

	/* What IPsec will protect comes again when it has; control messages have their locators. */
	if (dst_xfrm(skb_dst(skb)) || ip6h->nexthdr == SHIM6_IPPROTO || is_internal(state->out))
		return NF_ACCEPT;
	if (unlikely(ip6h->nexthdr == IPPROTO_ICMPV6))
		return send_icmp(sn, skb, state);
	node = shim6_node_recent(sn, &ip6h->saddr, &ip6h->daddr);
	return likely(node) ? send_by_node(sn, skb, node, state) : send_looked_up(sn, skb, state);
}

/*
 * The local ULID has gone from our interfaces, maybe with its link. Routing as for the locator delivers here all the
 * same, and sockets are found by the ULID.
 */
static void route_as_locator(struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct flowi6 fl6 = {
		.flowi6_iif = state->in->ifindex,
		.flowi6_mark = skb->mark,
		.flowi6_proto = ip6h->nexthdr,
		.daddr = ip6h->daddr,
		.saddr = ip6h->saddr,
	};

	skb_dst_drop(skb);
	skb_dst_set(skb, ip6_route_input_lookup(state->net, skb->dev, &fl6, skb, RT6_LOOKUP_F_HAS_SADDR));
}

static noinline unsigned int receive_payload(struct shim6_net *sn, struct sk_buff *skb,
					     const struct nf_hook_state *state)
{
	const unsigned int off = sizeof(struct ipv6hdr);
	struct shim6_paths *paths;
	const struct shim6_hdr *hdr;
	struct shim6_path *path;
	struct shim6_ctx *ctx;

	if (!pskb_may_pull(skb, off + SHIM6_HDR_LEN))
		return NF_ACCEPT;
	hdr = (const struct shim6_hdr *)(skb->data + off);
	if (!shim6_hdr_is_payload(hdr) || hdr->hdrlen || hdr->nexthdr == SHIM6_IPPROTO)
		return NF_ACCEPT;
	ctx = shim6_ctx_by_tag(sn, shim6_hdr_tag(hdr));
	if (!ctx)
		return NF_ACCEPT;
	paths = rcu_dereference(ctx->paths);
	path = shim6_path_of(paths, ipv6_hdr(skb));
	if (path ? !path->receives : !shim6_paths_has_locator(paths, &ipv6_hdr(skb)->daddr))
		return NF_ACCEPT;

	shim6_note_rx_path(sn, path, skb);
	if (READ_ONCE(ctx->ulid_gone))
		route_as_locator(skb, state);
	IP6CB(skb)->nhoff = offsetof(struct ipv6hdr, nexthdr);	/* a bridge has not set it */
	if (shim6_input(paths->in, skb)) {
		shim6_count(sn, SHIM6_STAT_RX_NO_MEMORY);
		return NF_DROP;
	}
	shim6_note_rx(ctx, paths, skb);
	shim6_count(sn, SHIM6_STAT_RX_REWRITTEN);
	return NF_ACCEPT;
}

static __always_inline unsigned int receive_by_node(struct shim6_net *sn, struct sk_buff *skb,
						    struct shim6_node *node)
{
	struct shim6_paths *paths;
	struct shim6_ctx *ctx;

	if (unlikely(!node->is_ctx)) {
		shim6_flow_note(sn, node, skb, false);
		return NF_ACCEPT;
	}
	ctx = shim6_node_ctx(node);
	paths = rcu_dereference(ctx->paths);
	if (shim6_count_rx(ctx, paths, skb))
		shim6_stamp_rx(ctx, paths);
	return NF_ACCEPT;
}

static noinline unsigned int receive_looked_up(struct shim6_net *sn, struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct shim6_node *node = shim6_node_look_up(sn, &ip6h->daddr, &ip6h->saddr);

	return node ? receive_by_node(sn, skb, node) : NF_ACCEPT;
}

static noinline unsigned int receive_icmp(struct shim6_net *sn, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct shim6_ctx *ctx;
	unsigned int off;

	ctx = shim6_icmp_ctx(sn, skb, &off);
	if (ctx) {
		if (READ_ONCE(ctx->ulid_gone))
			route_as_locator(skb, state);
		shim6_icmp_translate(sn, skb, ctx, off);
		return NF_ACCEPT;
	}
	return is_ndisc(skb) ? NF_ACCEPT : receive_looked_up(sn, skb);
}

static unsigned int pre_routing(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct shim6_net *sn = priv;
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct shim6_node *node;

	if (is_internal(state->in))
		return NF_ACCEPT;
	if (ip6h->nexthdr == SHIM6_IPPROTO)
		return receive_payload(sn, skb, state);
	if (unlikely(ip6h->nexthdr == IPPROTO_ICMPV6))
		return receive_icmp(sn, skb, state);
	node = shim6_node_recent(sn, &ip6h->daddr, &ip6h->saddr);
	return likely(node) ? receive_by_node(sn, skb, node) : receive_looked_up(sn, skb);
}

static const struct nf_hook_ops hooks[SHIM6_HOOKS] = {
	{
		.hook = local_out,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_LOCAL_OUT,
		.priority = NF_IP6_PRI_LAST,
	},
	{
		.hook = pre_routing,
		.pf = NFPROTO_IPV6,
		.hooknum = NF_INET_PRE_ROUTING,
		.priority = NF_IP6_PRI_CONNTRACK_DEFRAG - 1,
	},
};

/*
 * Hook the namespace while packets have anything to look for here: a context, or a heuristic that wants to see flows.
 * Hooks that find nothing would still cost every packet two calls. sn->lock is held.
 */
int shim6_hook_update(struct shim6_net *sn)
{
	bool needed = sn->enabled && (sn->n_contexts || rcu_access_pointer(sn->stack));

	if (!needed)
		shim6_unhook(sn);
	return needed ? shim6_hook(sn) : 0;
}

/* sn->lock is held. */
int shim6_hook(struct shim6_net *sn)
{
	int err;

	if (sn->hooked)
		return 0;
	err = nf_register_net_hooks(sn->net, sn->hooks, SHIM6_HOOKS);
	if (!err)
		sn->hooked = true;
	return err;
}

/* sn->lock is held, or the namespace is going. Packets may be in the hooks until a grace period has passed. */
void shim6_unhook(struct shim6_net *sn)
{
	if (sn->hooked)
		nf_unregister_net_hooks(sn->net, sn->hooks, SHIM6_HOOKS);
	sn->hooked = false;
}

/* Each namespace has its own, so that a packet finds it without a search. */
void shim6_hook_net_init(struct shim6_net *sn)
{
	unsigned int i;

	for (i = 0; i < SHIM6_HOOKS; i++) {
		sn->hooks[i] = hooks[i];
		sn->hooks[i].priv = sn;
	}
}
