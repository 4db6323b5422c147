// SPDX-License-Identifier: GPL-2.0-only
/*
 * Protocol 140 in local delivery: control messages, of which the daemon's raw socket had its copy before, and payload
 * that the hook let pass, being of no context or behind other headers.
 */
#include <linux/icmpv6.h>
#include <linux/netdevice.h>
#include <net/protocol.h>

#include "note.h"
#include "shim6.h"

static int drop(struct shim6_net *sn, struct sk_buff *skb, enum shim6_stat stat)
{
	shim6_count(sn, stat);
	kfree_skb(skb);
	return 0;
}

/*
 * Behind other extension headers, or reassembled: receive it again under its ULIDs, so that firewalls see it as they
 * would without those. Handed on from here it would pass them as protocol 140, whatever is inside.
 */
static int receive_again(struct shim6_net *sn, struct sk_buff *skb, struct shim6_ctx *ctx,
			 struct shim6_paths *paths)
{
	struct net_device *dev;

	skb_push(skb, skb->data - skb_network_header(skb));
	if (!ipv6_hdr(skb)->payload_len)	/* a jumbogram */
		return drop(sn, skb, SHIM6_STAT_RX_MALFORMED);
	shim6_note_rx_path(sn, shim6_path_of(paths, ipv6_hdr(skb)), skb);
	if (shim6_input(paths->in, skb))
		return drop(sn, skb, SHIM6_STAT_RX_NO_MEMORY);
	shim6_count(sn, SHIM6_STAT_RX_REWRITTEN);
	/* By its ULIDs the hook does not find a forked context. */
	if (ctx->fii)
		shim6_note_rx(ctx, paths, skb);

	nf_reset_ct(skb);
	/* By the device that it came by: the VRF's would not count. */
	dev = dev_get_by_index_rcu(dev_net(skb->dev), IP6CB(skb)->iif);
	if (dev)
		skb->dev = dev;
	if (READ_ONCE(ctx->ulid_gone))
		skb_dst_force(skb);
	else
		skb_dst_drop(skb);
	netif_rx(skb);
	return 0;
}

static int receive_payload(struct shim6_net *sn, struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	const struct shim6_hdr *hdr = (const struct shim6_hdr *)skb->data;
	u64 tag = shim6_hdr_tag(hdr);
	struct shim6_paths *paths;
	struct shim6_ctx *ctx;

	if (hdr->hdrlen || hdr->nexthdr == SHIM6_IPPROTO)
		return drop(sn, skb, SHIM6_STAT_RX_MALFORMED);
	ctx = shim6_ctx_by_tag(sn, tag);
	if (!ctx) {
		if (shim6_addr_ok(&ip6h->saddr) && shim6_addr_ok(&ip6h->daddr))
			shim6_event_unknown_tag(sn, ip6h, tag);
		return drop(sn, skb, SHIM6_STAT_RX_UNKNOWN_TAG);
	}
	paths = rcu_dereference(ctx->paths);
	if (!shim6_paths_has_locator(paths, &ip6h->daddr))
		return drop(sn, skb, SHIM6_STAT_RX_NOT_LOCATOR);
	return receive_again(sn, skb, ctx, paths);
}

static int receive(struct sk_buff *skb)
{
	struct shim6_net *sn = shim6_net(dev_net(skb->dev));

	/* A namespace that does not use the module answers as if it were not there: peers then give up at once. */
	if (!READ_ONCE(sn->enabled)) {
		icmpv6_send(skb, ICMPV6_PARAMPROB, ICMPV6_UNK_NEXTHDR, IP6CB(skb)->nhoff);
		kfree_skb(skb);
		return 0;
	}
	if (!pskb_may_pull(skb, SHIM6_HDR_LEN))
		return drop(sn, skb, SHIM6_STAT_RX_MALFORMED);
	if (shim6_hdr_is_payload((const struct shim6_hdr *)skb->data))
		return receive_payload(sn, skb);
	shim6_count(sn, SHIM6_STAT_RX_CONTROL);
	consume_skb(skb);
	return 0;
}

static const struct inet6_protocol shim6_protocol = {
	.handler = receive,
	.err_handler = shim6_icmp_error,
	.flags = INET6_PROTO_NOPOLICY,
};

int __init shim6_proto_init(void)
{
	return inet6_add_protocol(&shim6_protocol, SHIM6_IPPROTO);
}

void shim6_proto_exit(void)
{
	inet6_del_protocol(&shim6_protocol, SHIM6_IPPROTO);
}
