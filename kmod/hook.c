// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netfilter hooks that bring packets to contexts. A namespace has them while it has a context or a heuristic.
 *
 * Sending is hooked at LOCAL_OUT behind everybody else, so that firewalls and connection tracking see ULIDs; IPsec
 * policies act on ULIDs too, and their packet comes back here. What is to be rewritten passes POST_ROUTING first, as
 * what IPsec transforms does: address translation and connection tracking finish there what they have begun. Receiving
 * is hooked before defragmentation: the peer puts the Payload Extension Header into each fragment (RFC 5533
 * section 4.6), and once it is gone, what follows is under ULIDs. This hook sees packets in transit too, and lets
 * everything pass that is not surely for a context.
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
#include "shim6.h"

static __always_inline bool is_ndisc(const struct sk_buff *skb, const struct ipv6hdr *ip6h)
{
	u8 _type;
	const u8 *type;

	if (likely(ip6h->nexthdr != IPPROTO_ICMPV6))
		return false;
	type = skb_header_pointer(skb, skb_network_offset(skb) + sizeof(*ip6h), sizeof(_type), &_type);
	return !type || (*type >= NDISC_ROUTER_SOLICITATION && *type <= NDISC_REDIRECT);
}

static bool is_internal(const struct net_device *dev)
{
	return dev->flags & IFF_LOOPBACK || netif_is_l3_master(dev);
}

/* The VRF that a device is in, 0 for none. The caller is in an RCU read section. */
static int vrf_of(struct net_device *dev)
{
	return netif_is_l3_slave(dev) ? l3mdev_master_ifindex_rcu(dev) : 0;
}

static noinline struct dst_entry *look_up_route(struct net *net, struct shim6_path *path, int vrf)
{
	struct dst_entry *dst;
	struct flowi6 fl6 = {
		.flowi6_oif = vrf,
		.flowi6_proto = SHIM6_IPPROTO,
		.saddr = path->locators.local,
		.daddr = path->locators.peer,
	};

	dst = ip6_dst_lookup_flow(net, NULL, &fl6, NULL);
	/* A bundle of IPsec is not told when its device goes. */
	if (!IS_ERR(dst) && !dst_xfrm(dst))
		dst_cache_set_ip6(&path->cache, dst, &fl6.saddr);
	return dst;
}

/*
 * The route between the path's locators, with a reference; IPsec policy for the locators is in it. It is in the VRF
 * that the ULIDs' route is in.
 */
static struct dst_entry *path_route(struct net *net, struct shim6_path *path, int vrf)
{
	struct dst_entry *dst;

	local_bh_disable();
	dst = dst_cache_get(&path->cache);
	if (dst && unlikely(vrf_of(dst_dev(dst)) != vrf)) {
		dst_release(dst);
		dst = NULL;
	}
	if (unlikely(!dst))
		dst = look_up_route(net, path, vrf);
	local_bh_enable();
	return dst;
}

/* Put locators in place of ULIDs, for the caller to route by dst. On error the packet is still the caller's. */
static int rewrite(struct shim6_net *sn, struct sk_buff *skb, struct xfrm_state *x, struct dst_entry *dst)
{
	unsigned int need = SHIM6_HDR_LEN + LL_RESERVED_SPACE(dst_dev(dst)) + dst->header_len;
	int err;

	if (skb_cow_head(skb, need)) {
		shim6_count(sn, SHIM6_STAT_TX_NO_MEMORY);
		return -ENOMEM;
	}
	err = shim6_output(x, skb);
	if (err) {
		shim6_count(sn, SHIM6_STAT_TX_TOO_BIG);
		return err;
	}
	shim6_count(sn, SHIM6_STAT_TX_REWRITTEN);
	return 0;
}

/* One fragment, still between ULIDs, with the route of the locators. The context is looked up again. */
static int send_fragment(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	struct shim6_net *sn = shim6_net(net);
	const struct shim6_paths *paths;
	struct shim6_node *node;
	int err = -ESRCH;

	rcu_read_lock();
	node = shim6_node_find(sn, &ipv6_hdr(skb)->saddr, &ipv6_hdr(skb)->daddr);
	if (node && node->is_ctx) {
		paths = rcu_dereference(shim6_node_ctx(node)->paths);
		err = rewrite(sn, skb, paths->out, skb_dst(skb));
	}
	rcu_read_unlock();
	if (err) {
		/* What rewrite() refuses it has counted. */
		if (err == -ESRCH)
			shim6_count(sn, SHIM6_STAT_TX_NO_ROUTE);
		kfree_skb(skb);
		return err;
	}
	IP6CB(skb)->frag_max_size = 0;
	return dst_output(net, sk, skb);
}

/*
 * Too big for the path: tell the sender's transport at once. Refusing the packet instead would look to TCP as if it had
 * not been sent, and cost a probe timeout.
 */
static void too_big(struct shim6_net *sn, struct sk_buff *skb, unsigned int mtu)
{
	skb->dev = skb_dst_dev(skb);
	skb_dst_update_pmtu_no_confirm(skb, mtu);
	icmpv6_send(skb, ICMPV6_PKT_TOOBIG, 0, mtu);
	shim6_count(sn, SHIM6_STAT_TX_TOO_BIG);
	kfree_skb(skb);
}

static void send_segments(struct shim6_net *sn, struct sk_buff *skb, struct xfrm_state *x,
			  struct dst_entry *dst, const struct nf_hook_state *state)
{
	struct sk_buff *segs, *next;

	/* The route's device may have no part in it: its features are seen to when each segment is sent. */
	skb->dev = dst_dev(dst);
	segs = __skb_gso_segment(skb, NETIF_F_SG | NETIF_F_HW_CSUM, false);
	if (IS_ERR_OR_NULL(segs)) {
		shim6_count(sn, SHIM6_STAT_TX_NO_MEMORY);
		kfree_skb(skb);
		return;
	}
	consume_skb(skb);
	/* In one go, so that a receiver in this kernel finds them all when it looks. */
	local_bh_disable();
	skb_list_walk_safe(segs, skb, next) {
		skb_mark_not_on_list(skb);
		if (rewrite(sn, skb, x, dst)) {
			kfree_skb(skb);
			continue;
		}
		skb_dst_drop(skb);
		skb_dst_set(skb, dst_clone(dst));
		state->okfn(state->net, state->sk, skb);
	}
	local_bh_enable();
}

/* With its offload code loaded, ESP encrypts only in the device's queue, whatever the device: the state that will. */
static struct xfrm_state *esp_to_come(struct sk_buff *skb)
{
	struct sec_path *sp = skb_sec_path(skb);

	return xfrm_offload(skb) ? sp->xvec[sp->len - 1] : NULL;
}

/* Send between the path's locators what is addressed to ULIDs. */
static unsigned int send_rewritten(struct shim6_net *sn, struct sk_buff *skb, struct xfrm_state *x,
				   struct shim6_path *path, const struct nf_hook_state *state)
{
	struct xfrm_state *esp = esp_to_come(skb);
	unsigned int mtu, room, fits;
	bool gso = skb_is_gso(skb);
	struct dst_entry *dst;

	/* For a tunnel it counts from the IPv6 header to its own; these keep to the ULIDs. */
	if (esp && esp->outer_mode.flags & XFRM_MODE_FLAG_TUNNEL)
		return NF_ACCEPT;

	dst = path_route(state->net, path, vrf_of(skb_dst_dev(skb)));
	if (IS_ERR(dst)) {
		/* A failed path is for REAP to mend; an error would make applications give up before. */
		shim6_count(sn, SHIM6_STAT_TX_NO_ROUTE);
		kfree_skb(skb);
		return NF_STOLEN;
	}

	/* This much every IPv6 link carries. */
	if (!gso && !esp && skb->len <= IPV6_MIN_MTU - SHIM6_HDR_LEN)
		goto rewrite;

	/* IPv6 cannot be told of less than its minimum: in between, the rewritten packet is fragmented. */
	mtu = dst_mtu(dst);
	room = max_t(unsigned int, mtu - SHIM6_HDR_LEN, IPV6_MIN_MTU);
	fits = room;
	if (esp)
		fits = xfrm_state_mtu(esp, mtu - SHIM6_HDR_LEN) + esp->props.header_len;
	if (gso ? !skb_gso_validate_network_len(skb, fits) : skb->len > fits) {
		if (gso || esp || !skb->ignore_df) {
			too_big(sn, skb, room);
			goto out;
		}
		if (room + SHIM6_HDR_LEN <= mtu) {
			IP6CB(skb)->frag_max_size = room;
			skb_dst_drop(skb);
			skb_dst_set(skb, dst_clone(dst));
			shim6_ip6_fragment(state->net, state->sk, skb, send_fragment);
			goto out;
		}
	}
	if (room + SHIM6_HDR_LEN > mtu)
		skb->ignore_df = 1;

	if (gso && !esp &&
	    (skb->len > IPV6_MAXPLEN - SHIM6_HDR_LEN || !shim6_gso_whole(sn, dst_dev(dst), skb))) {
		send_segments(sn, skb, x, dst, state);
		goto out;
	}

rewrite:
	if (!rewrite(sn, skb, x, dst)) {
		skb_dst_drop(skb);
		skb_dst_set(skb, dst);
		return NF_ACCEPT;
	}
	kfree_skb(skb);
out:
	dst_release(dst);
	return NF_STOLEN;
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
	dst = path_route(state->net, path, vrf);
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

/* Send what has passed POST_ROUTING under ULIDs. If an address was translated there, it need not pass again. */
static unsigned int send_passed(struct shim6_net *sn, struct sk_buff *skb, struct shim6_ctx *ctx,
				const struct nf_hook_state *state)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct shim6_paths *paths = rcu_dereference(ctx->paths);
	struct shim6_path *path = shim6_path_select(sn, paths, skb->mark);

	nf_reset_ct(skb);
	if (!path->rewrite || !ipv6_addr_equal(&ip6h->saddr, &ctx->node.ulids.local) ||
	    !ipv6_addr_equal(&ip6h->daddr, &ctx->node.ulids.peer)) {
		IP6CB(skb)->flags |= IP6SKB_REROUTED;
		return NF_ACCEPT;
	}
	return send_rewritten(sn, skb, paths->out, path, state);
}

/* A program had held the packet in POST_ROUTING. The context may have gone since. */
static int send_released(struct net *net, struct sock *sk, struct sk_buff *skb)
{
	const struct nf_hook_state state = { .net = net, .sk = sk, .okfn = dst_output };
	struct shim6_net *sn = shim6_net(net);
	unsigned int verdict = NF_ACCEPT;
	struct shim6_node *node;

	rcu_read_lock();
	node = shim6_node_find(sn, &ipv6_hdr(skb)->saddr, &ipv6_hdr(skb)->daddr);
	if (node && node->is_ctx)
		verdict = send_passed(sn, skb, shim6_node_ctx(node), &state);
	else
		IP6CB(skb)->flags |= IP6SKB_REROUTED;
	rcu_read_unlock();
	return verdict == NF_ACCEPT ? dst_output(net, sk, skb) : 0;
}

static unsigned int local_out(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct shim6_net *sn = priv;
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct shim6_paths *paths;
	struct shim6_path *path;
	struct shim6_node *node;
	struct shim6_ctx *ctx;

	/* What IPsec will protect comes again when it has; control messages have their locators. */
	if (dst_xfrm(skb_dst(skb)) || ip6h->nexthdr == SHIM6_IPPROTO || ipv6_addr_is_multicast(&ip6h->daddr) ||
	    is_internal(state->out) || is_ndisc(skb, ip6h))
		return NF_ACCEPT;

	node = shim6_node_find(sn, &ip6h->saddr, &ip6h->daddr);
	if (!node) {
		shim6_flow_create(sn, &ip6h->saddr, &ip6h->daddr, skb);
		return NF_ACCEPT;
	}
	if (!node->is_ctx) {
		shim6_flow_note(sn, node, skb, true);
		return NF_ACCEPT;
	}
	ctx = shim6_node_ctx(node);
	paths = rcu_dereference(ctx->paths);
	path = shim6_path_pick(sn, paths, skb->mark);
	if (path->rewrite && is_bound_elsewhere(state, path, vrf_of(skb_dst_dev(skb)))) {
		shim6_count(sn, SHIM6_STAT_TX_BOUND);
	} else {
		shim6_note_tx(ctx, paths, path, skb);
		if (unlikely(READ_ONCE(sn->rto_hint)))
			shim6_tcp_note_rto(ctx, skb);
		if (path->rewrite) {
			skb->dev = skb_dst_dev(skb);
			if (nf_hook(NFPROTO_IPV6, NF_INET_POST_ROUTING, state->net, state->sk, skb, NULL, skb->dev,
				    send_released) != 1)
				return NF_STOLEN;
			return send_passed(sn, skb, ctx, state);
		}
	}
	/*
	 * Nothing may leave with an address that is no longer ours, or wait for a neighbour where there is none: TCP
	 * does not send again what still waits.
	 */
	if (READ_ONCE(ctx->ulid_gone) || leads_nowhere(skb_dst(skb))) {
		shim6_count(sn, SHIM6_STAT_TX_NO_ROUTE);
		kfree_skb(skb);
		return NF_STOLEN;
	}
	return NF_ACCEPT;
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

static unsigned int receive_payload(struct shim6_net *sn, struct sk_buff *skb,
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

static unsigned int pre_routing(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	struct shim6_net *sn = priv;
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct shim6_node *node;
	struct shim6_ctx *ctx;
	unsigned int off;

	if (is_internal(state->in))
		return NF_ACCEPT;
	if (ip6h->nexthdr == SHIM6_IPPROTO)
		return receive_payload(sn, skb, state);
	if (ip6h->nexthdr == IPPROTO_ICMPV6) {
		ctx = shim6_icmp_ctx(sn, skb, &off);
		if (ctx) {
			if (READ_ONCE(ctx->ulid_gone))
				route_as_locator(skb, state);
			shim6_icmp_translate(sn, skb, ctx, off);
			return NF_ACCEPT;
		}
		ip6h = ipv6_hdr(skb);
	}

	node = shim6_node_find(sn, &ip6h->daddr, &ip6h->saddr);
	if (!node || is_ndisc(skb, ip6h))
		return NF_ACCEPT;
	if (!node->is_ctx) {
		shim6_flow_note(sn, node, skb, false);
		return NF_ACCEPT;
	}
	ctx = shim6_node_ctx(node);
	shim6_note_rx(ctx, rcu_dereference(ctx->paths), skb);
	return NF_ACCEPT;
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
