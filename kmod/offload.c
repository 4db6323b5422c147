// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generic segmentation sees the Payload Extension Header as one more extension header. Generic receive needs more:
 * TCP's checksum is over ULIDs, and only packets for our own contexts may be merged, for a forwarding kernel takes
 * the header for TCP's when it checks the segments' size.
 */
#include <net/gro.h>
#include <net/ip6_checksum.h>
#include <net/protocol.h>

#include "shim6.h"

static __wsum pair_sum(const struct in6_addr *src, const struct in6_addr *dst)
{
	return csum_partial(src, sizeof(*src), csum_partial(dst, sizeof(*dst), 0));
}

/* Whether TCP's checksum, at off, has yet to be looked at. */
static bool needs_checksum(const struct sk_buff *skb, unsigned int off)
{
	return (skb->ip_summed != CHECKSUM_PARTIAL || skb_checksum_start_offset(skb) < off) &&
	       !NAPI_GRO_CB(skb)->csum_cnt;
}

/* Make the checksum over the segment such as if the IPv6 header had the ULIDs. */
static void fix_checksum(struct sk_buff *skb, const struct ipv6hdr *ip6h, const struct shim6_pair *ulids)
{
	__wsum sum;

	if (!NAPI_GRO_CB(skb)->csum_valid)
		__skb_gro_checksum_complete(skb);
	sum = csum_sub(pair_sum(&ulids->peer, &ulids->local), pair_sum(&ip6h->saddr, &ip6h->daddr));
	NAPI_GRO_CB(skb)->csum = csum_add(NAPI_GRO_CB(skb)->csum, sum);
}

static struct shim6_ctx *find_ctx(const struct sk_buff *skb, const struct ipv6hdr *ip6h,
				  const struct shim6_hdr *hdr)
{
	struct shim6_ctx *ctx;

	if (!shim6_hdr_is_payload(hdr) || hdr->hdrlen || hdr->nexthdr != IPPROTO_TCP)
		return NULL;
	ctx = shim6_ctx_by_tag(shim6_net(dev_net(skb->dev)), shim6_hdr_tag(hdr));
	if (!ctx || !shim6_paths_has_locator(rcu_dereference(ctx->paths), &ip6h->daddr))
		return NULL;
	return ctx;
}

static bool same_header(const struct shim6_hdr *a, const struct shim6_hdr *b)
{
	return a->tag_lo == b->tag_lo && a->tag_hi == b->tag_hi && a->nexthdr == b->nexthdr && a->hdrlen == b->hdrlen;
}

static struct sk_buff *gro_receive(struct list_head *head, struct sk_buff *skb)
{
	unsigned int off = skb_gro_offset(skb);
	const struct net_offload *tcp;
	const struct ipv6hdr *ip6h;
	const struct shim6_hdr *hdr;
	struct shim6_ctx *ctx = NULL;
	bool known = false;
	struct sk_buff *p;

	hdr = skb_gro_header(skb, off + SHIM6_HDR_LEN, off);
	tcp = rcu_dereference(inet6_offloads[IPPROTO_TCP]);
	if (!hdr || !tcp || NAPI_GRO_CB(skb)->encap_mark)
		goto flush;
	ip6h = (const struct ipv6hdr *)((const u8 *)hdr - sizeof(*ip6h));

	/* A packet that was held had a context. Its addresses are those of this one. */
	list_for_each_entry(p, head, list) {
		if (!NAPI_GRO_CB(p)->same_flow)
			continue;
		if (same_header((const struct shim6_hdr *)(p->data + off), hdr))
			known = true;
		else
			NAPI_GRO_CB(p)->same_flow = 0;
	}
	if (!known || needs_checksum(skb, off + SHIM6_HDR_LEN)) {
		ctx = find_ctx(skb, ip6h, hdr);
		if (!ctx)
			goto flush;
	}

	skb_gro_pull(skb, SHIM6_HDR_LEN);
	skb_gro_postpull_rcsum(skb, hdr, SHIM6_HDR_LEN);
	skb_set_transport_header(skb, skb_gro_offset(skb));
	if (!NAPI_GRO_CB(skb)->flush && needs_checksum(skb, skb_gro_offset(skb)))
		fix_checksum(skb, ip6h, &ctx->node.ulids);
	return tcp->callbacks.gro_receive(head, skb);

flush:
	NAPI_GRO_CB(skb)->flush = 1;
	return NULL;
}

static const struct net_offload shim6_offload = {
	.callbacks = {
		.gro_receive = gro_receive,
	},
	.flags = INET6_PROTO_GSO_EXTHDR,
};

int __init shim6_offload_init(void)
{
	return inet6_add_offload(&shim6_offload, SHIM6_IPPROTO);
}

void shim6_offload_exit(void)
{
	inet6_del_offload(&shim6_offload, SHIM6_IPPROTO);
}
