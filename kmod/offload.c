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

/* Make the checksum over the segment such as if the IPv6 header had the ULIDs. */
static void fix_checksum(struct sk_buff *skb, const struct ipv6hdr *ip6h, const struct shim6_pair *ulids)
{
	__wsum sum;

	if ((skb->ip_summed == CHECKSUM_PARTIAL && skb_checksum_start_offset(skb) >= skb_gro_offset(skb)) ||
	    NAPI_GRO_CB(skb)->csum_cnt)
		return;
	if (!NAPI_GRO_CB(skb)->csum_valid)
		__skb_gro_checksum_complete(skb);
	sum = csum_sub(pair_sum(&ulids->peer, &ulids->local), pair_sum(&ip6h->saddr, &ip6h->daddr));
	NAPI_GRO_CB(skb)->csum = csum_add(NAPI_GRO_CB(skb)->csum, sum);
}

static struct shim6_ctx *find_ctx(const struct sk_buff *skb, const struct ipv6hdr *ip6h,
				  const struct shim6_hdr *hdr)
{
	struct shim6_net *sn = shim6_net(dev_net(skb->dev));
	struct shim6_ctx *ctx;

	if (!shim6_hdr_is_payload(hdr) || hdr->hdrlen || hdr->nexthdr != IPPROTO_TCP ||
	    !atomic_read(&sn->by_tag.nelems))
		return NULL;
	ctx = shim6_ctx_by_tag(sn, shim6_hdr_tag(hdr));
	if (!ctx || !shim6_paths_has_locator(rcu_dereference(ctx->paths), &ip6h->daddr))
		return NULL;
	return ctx;
}

static struct sk_buff *gro_receive(struct list_head *head, struct sk_buff *skb)
{
	unsigned int off = skb_gro_offset(skb);
	const struct net_offload *tcp;
	const struct ipv6hdr *ip6h;
	const struct shim6_hdr *hdr;
	struct shim6_ctx *ctx;
	struct sk_buff *p;

	hdr = skb_gro_header(skb, off + SHIM6_HDR_LEN, off);
	tcp = rcu_dereference(inet6_offloads[IPPROTO_TCP]);
	if (!hdr || !tcp || NAPI_GRO_CB(skb)->encap_mark)
		goto flush;
	ip6h = (const struct ipv6hdr *)((const u8 *)hdr - sizeof(*ip6h));
	ctx = find_ctx(skb, ip6h, hdr);
	if (!ctx)
		goto flush;

	list_for_each_entry(p, head, list)
		if (NAPI_GRO_CB(p)->same_flow && memcmp(p->data + off, hdr, SHIM6_HDR_LEN))
			NAPI_GRO_CB(p)->same_flow = 0;

	skb_gro_pull(skb, SHIM6_HDR_LEN);
	skb_gro_postpull_rcsum(skb, hdr, SHIM6_HDR_LEN);
	skb_set_transport_header(skb, skb_gro_offset(skb));
	if (!NAPI_GRO_CB(skb)->flush)
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
