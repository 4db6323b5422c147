// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending what the LOCAL_OUT hook has found to be a context's, by a path whose locators are not the ULIDs. It passes
 * POST_ROUTING first, as what IPsec transforms does: address translation and connection tracking finish there what they
 * have begun.
 */
#include <linux/netfilter.h>
#include <linux/netfilter_ipv6.h>
#include <linux/tcp.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>

#include "compat.h"
#include "route.h"
#include "shim6.h"

/* AppArmor's hook at POST_ROUTING. It judges sockets and labels, not addresses: when the packet leaves is enough. */
static const void *apparmor __ro_after_init;

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

/* Whether a large packet's rewritten form is as long as IPv6 can tell, and its device may have it. */
static bool may_be_whole(struct shim6_net *sn, const struct sk_buff *skb, const struct dst_entry *dst)
{
	return skb->len <= IPV6_MAXPLEN - SHIM6_HDR_LEN && shim6_gso_whole(sn, dst_dev(dst), skb);
}

/* With its offload code loaded, ESP encrypts only in the device's queue, whatever the device: the state that will. */
static struct xfrm_state *esp_to_come(struct sk_buff *skb)
{
	struct sec_path *sp = skb_sec_path(skb);

	return xfrm_offload(skb) ? sp->xvec[sp->len - 1] : NULL;
}

/* Send between the path's locators what is addressed to ULIDs, whole or in parts. */
static noinline unsigned int send_fitting(struct shim6_net *sn, struct sk_buff *skb, struct xfrm_state *x,
					  struct shim6_path *path, const struct nf_hook_state *state)
{
	struct xfrm_state *esp = esp_to_come(skb);
	unsigned int mtu, room, fits;
	bool gso = skb_is_gso(skb);
	struct dst_entry *dst;

	/* For a tunnel it counts from the IPv6 header to its own; these keep to the ULIDs. */
	if (esp && esp->outer_mode.flags & XFRM_MODE_FLAG_TUNNEL)
		return NF_ACCEPT;

	dst = shim6_route_get(state->net, path, shim6_vrf_of(skb_dst_dev(skb)));
	if (IS_ERR(dst)) {
		/* A failed path is for REAP to mend; an error would make applications give up before. */
		shim6_count(sn, SHIM6_STAT_TX_NO_ROUTE);
		kfree_skb(skb);
		return NF_STOLEN;
	}

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

	if (gso && !esp && !may_be_whole(sn, skb, dst)) {
		send_segments(sn, skb, x, dst, state);
		goto out;
	}

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

/* As skb_gso_validate_network_len() tells, which asks more of what is not TCP. */
static bool segments_fit(const struct sk_buff *skb, unsigned int mtu)
{
	const struct skb_shared_info *shared = skb_shinfo(skb);

	if (unlikely(!(shared->gso_type & SKB_GSO_TCPV6) || skb->encapsulation))
		return skb_gso_validate_network_len(skb, mtu);
	return skb_network_header_len(skb) + tcp_hdrlen(skb) + shared->gso_size <= mtu;
}

/* Whether a packet need not be looked at any closer, rewritten and sent by dst. */
static bool surely_fits(struct shim6_net *sn, const struct sk_buff *skb, const struct dst_entry *dst)
{
	bool gso = skb_is_gso(skb);
	unsigned int mtu;

	/* This much every IPv6 link carries. */
	if (!gso && skb->len <= IPV6_MIN_MTU - SHIM6_HDR_LEN)
		return true;
	mtu = dst_mtu(dst);
	if (mtu < IPV6_MIN_MTU + SHIM6_HDR_LEN)
		return false;
	mtu -= SHIM6_HDR_LEN;
	if (!gso)
		return skb->len <= mtu;
	return segments_fit(skb, mtu) && may_be_whole(sn, skb, dst);
}

/* Send between the path's locators what is addressed to ULIDs. */
static unsigned int send_rewritten(struct shim6_net *sn, struct sk_buff *skb, struct xfrm_state *x,
				   struct shim6_path *path, const struct nf_hook_state *state)
{
	struct dst_entry *dst = shim6_route_recent(path, shim6_vrf_of(skb_dst_dev(skb)));

	if (unlikely(!dst || skb_sec_path(skb)) || !surely_fits(sn, skb, dst))
		return send_fitting(sn, skb, x, path, state);
	/* Who sends a packet with a route that it has no reference on stays in an RCU read section until it is sent. */
	if (!skb_dst_is_noref(skb) && unlikely(!dst_hold_safe(dst)))
		return send_fitting(sn, skb, x, path, state);
	if (unlikely(rewrite(sn, skb, x, dst))) {
		if (!skb_dst_is_noref(skb))
			dst_release(dst);
		kfree_skb(skb);
		return NF_STOLEN;
	}
	if (skb_dst_is_noref(skb)) {
		skb_dst_set_noref(skb, dst);
	} else {
		skb_dst_drop(skb);
		skb_dst_set(skb, dst);
	}
	return NF_ACCEPT;
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

/* Whether nobody is at POST_ROUTING who would see ULIDs there. */
static bool nobody_in_post_routing(const struct net *net)
{
	const struct nf_hook_entries *entries = rcu_dereference(net->nf.hooks_ipv6[NF_INET_POST_ROUTING]);

	return !entries || (entries->num_hook_entries == 1 && entries->hooks[0].hook == apparmor);
}

static noinline unsigned int pass_and_send(struct shim6_net *sn, struct sk_buff *skb, struct shim6_ctx *ctx,
					   const struct nf_hook_state *state)
{
	skb->dev = skb_dst_dev(skb);
	if (nf_hook(NFPROTO_IPV6, NF_INET_POST_ROUTING, state->net, state->sk, skb, NULL, skb->dev, send_released) != 1)
		return NF_STOLEN;
	return send_passed(sn, skb, ctx, state);
}

/* Send payload, which has been counted, by a path whose locators are not the ULIDs. The verdict is the hook's. */
unsigned int shim6_send(struct shim6_net *sn, struct sk_buff *skb, struct shim6_ctx *ctx, struct shim6_paths *paths,
			struct shim6_path *path, const struct nf_hook_state *state)
{
	if (likely(nobody_in_post_routing(state->net) && !skb_get_nfct(skb)))
		return send_rewritten(sn, skb, paths->out, path, state);
	return pass_and_send(sn, skb, ctx, state);
}

/* Security modules have their hooks since the boot. Symbols are all that a hook is known by. */
void __init shim6_send_init(void)
{
	const struct nf_hook_entries *entries;
	char name[64];
	unsigned int i;

	rcu_read_lock();
	entries = rcu_dereference(init_net.nf.hooks_ipv6[NF_INET_POST_ROUTING]);
	for (i = 0; entries && i < entries->num_hook_entries; i++) {
		snprintf(name, sizeof(name), "%ps", entries->hooks[i].hook);
		if (strstarts(name, "apparmor_ip"))
			apparmor = entries->hooks[i].hook;
	}
	rcu_read_unlock();
}
