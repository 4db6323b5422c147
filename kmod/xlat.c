// SPDX-License-Identifier: GPL-2.0-only
/*
 * The transformer's output and input: a Payload Extension Header and locators instead of ULIDs, and back. The ULP's
 * checksum is over ULIDs and stays as it is (RFC 5533 section 11.1). The caller is in an RCU read section, and
 * skb->data is the IPv6 header.
 */
#include <linux/if_ether.h>
#include <net/ipv6.h>

#include "compat.h"
#include "shim6.h"

/*
 * Where the Payload Extension Header goes, and the octet that will name it. RFC 5533 section 4.6: behind hop-by-hop
 * options, routing headers and the destination options that precede those, before a fragment header and final
 * destination options. What is cut off within the linear part goes behind, for the receiver to judge.
 */
static unsigned int find_place(struct sk_buff *skb, u8 **nexthdr)
{
	unsigned int off = sizeof(struct ipv6hdr), place = off;
	struct ipv6_opt_hdr *opt;
	u8 *next, kind;

	next = &ipv6_hdr(skb)->nexthdr;
	*nexthdr = next;
	for (;;) {
		kind = *next;
		if (kind != NEXTHDR_HOP && kind != NEXTHDR_ROUTING && kind != NEXTHDR_DEST)
			return place;
		opt = (struct ipv6_opt_hdr *)(skb->data + off);
		if (off + sizeof(*opt) > skb_headlen(skb) || off + ipv6_optlen(opt) > skb_headlen(skb))
			return place;
		off += ipv6_optlen(opt);
		next = &opt->nexthdr;
		if (kind != NEXTHDR_DEST) {
			place = off;
			*nexthdr = next;
		}
	}
}

/* The headroom is ours to write. The path is that of the packet's mark. */
int shim6_output(struct xfrm_state *x, struct sk_buff *skb)
{
	struct shim6_ctx *ctx = x->data;
	struct shim6_paths *paths = rcu_dereference(ctx->paths);
	const struct shim6_path *path = shim6_path_select(ctx->sn, paths, skb->mark);
	unsigned int payload_len;
	struct shim6_hdr *hdr;
	struct ipv6hdr *ip6h;
	u8 *nexthdr, proto;
	unsigned int off;

	payload_len = ntohs(ipv6_hdr(skb)->payload_len) + SHIM6_HDR_LEN;
	if (payload_len > IPV6_MAXPLEN)
		return -EMSGSIZE;

	off = find_place(skb, &nexthdr);
	proto = *nexthdr;
	*nexthdr = SHIM6_IPPROTO;
	/* All but the addresses. */
	memmove(skb->data - SHIM6_HDR_LEN, skb->data, offsetof(struct ipv6hdr, saddr));
	if (unlikely(off > sizeof(*ip6h)))
		memmove(skb->data + sizeof(*ip6h) - SHIM6_HDR_LEN, skb->data + sizeof(*ip6h), off - sizeof(*ip6h));
	__skb_push(skb, SHIM6_HDR_LEN);
	skb_reset_network_header(skb);

	ip6h = ipv6_hdr(skb);
	ip6h->payload_len = htons(payload_len);
	ip6h->saddr = path->locators.local;
	ip6h->daddr = path->locators.peer;

	hdr = (struct shim6_hdr *)(skb->data + off);
	shim6_hdr_fill(hdr, proto, paths->tag_peer);
	return 0;
}

/* Move len octets by the length of the Payload Extension Header. Link headers are Ethernet's nearly always. */
static __always_inline void move_link_header(unsigned char *start, unsigned int len)
{
	u64 first, last;

	if (unlikely(len != ETH_HLEN)) {
		memmove(start + SHIM6_HDR_LEN, start, len);
		return;
	}
	first = get_unaligned((u64 *)start);
	last = get_unaligned((u64 *)(start + ETH_HLEN - sizeof(last)));
	put_unaligned(first, (u64 *)(start + SHIM6_HDR_LEN));
	put_unaligned(last, (u64 *)(start + SHIM6_HDR_LEN + ETH_HLEN - sizeof(last)));
}

/*
 * The header to remove is where the transport header is said to be, in the linear part, and is named by the octet at
 * nhoff, as in receiving. The link header moves along, for a bridge expects it right before the IPv6 header.
 */
int shim6_input(struct xfrm_state *x, struct sk_buff *skb)
{
	const struct shim6_ctx *ctx = x->data;
	unsigned int off = skb_transport_offset(skb);
	unsigned char *start, *mac;
	struct ipv6hdr *ip6h;
	int err;

	if (skb_cloned(skb) && !skb_clone_writable(skb, off + SHIM6_HDR_LEN)) {
		err = pskb_expand_head(skb, 0, 0, GFP_ATOMIC);
		if (err)
			return err;
	}
	skb_postpull_rcsum(skb, skb->data, off + SHIM6_HDR_LEN);

	start = skb->data;
	start[IP6CB(skb)->nhoff] = ((struct shim6_hdr *)(start + off))->nexthdr;
	/* All but the addresses. */
	if (unlikely(off > sizeof(*ip6h)))
		memmove(start + sizeof(*ip6h) + SHIM6_HDR_LEN, start + sizeof(*ip6h), off - sizeof(*ip6h));
	memmove(start + SHIM6_HDR_LEN, start, offsetof(struct ipv6hdr, saddr));
	if (skb_mac_header_was_set(skb) && skb_mac_header(skb) <= start) {
		mac = skb_mac_header(skb);
		move_link_header(mac, start - mac);
		skb->mac_header += SHIM6_HDR_LEN;
	}
	__skb_pull(skb, SHIM6_HDR_LEN);
	skb_reset_network_header(skb);
	skb_set_transport_header(skb, off);

	ip6h = ipv6_hdr(skb);
	ip6h->payload_len = htons(ntohs(ip6h->payload_len) - SHIM6_HDR_LEN);
	ip6h->saddr = ctx->node.ulids.peer;
	ip6h->daddr = ctx->node.ulids.local;
	skb_postpush_rcsum(skb, skb->data, off);
	return 0;
}
