// SPDX-License-Identifier: GPL-2.0-only
/*
 * ICMPv6 errors about rewritten packets (RFC 5533 section 8): before anybody looks at one, the packet that it quotes is
 * turned back to what the ULP sent. So sockets, connection tracking and firewalls find in it what they know. An error
 * is unauthenticated: beyond path MTU, which is learned for the locators as for any destination, nothing here changes
 * by it.
 */
#include <linux/icmpv6.h>
#include <net/ip6_checksum.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>

#include "shim6.h"

/* Offset of the quoted packet in an error that has no extension headers. */
#define QUOTED		(sizeof(struct ipv6hdr) + sizeof(struct icmp6hdr))

/* RFC 4884 section 3: the least that an error with extensions quotes, in 64-bit words. */
#define MIN_WORDS	16

/* Where the quoted packet has its Payload Extension Header, 0 if nowhere. */
static unsigned int find_header(struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h;
	const struct shim6_hdr *hdr;
	__be16 frag_off;
	u8 nexthdr;
	int off;

	if (!pskb_may_pull(skb, QUOTED + sizeof(*ip6h)))
		return 0;
	ip6h = (const struct ipv6hdr *)(skb->data + QUOTED);
	if (((const struct icmp6hdr *)(skb->data + sizeof(*ip6h)))->icmp6_type & ICMPV6_INFOMSG_MASK ||
	    ip6h->version != 6 || !ipv6_addr_equal(&ip6h->saddr, &ipv6_hdr(skb)->daddr))
		return 0;
	nexthdr = ip6h->nexthdr;
	off = ipv6_skip_exthdr(skb, QUOTED + sizeof(*ip6h), &nexthdr, &frag_off);
	if (off < 0 || nexthdr != SHIM6_IPPROTO || !pskb_may_pull(skb, off + SHIM6_HDR_LEN))
		return 0;
	hdr = (const struct shim6_hdr *)(skb->data + off);
	if (!shim6_hdr_is_payload(hdr) || hdr->hdrlen || hdr->nexthdr == SHIM6_IPPROTO)
		return 0;
	return off;
}

/* The context of the packet that a message quotes, and where that has its header. skb->data is the IPv6 header. */
struct shim6_ctx *shim6_icmp_ctx(struct shim6_net *sn, struct sk_buff *skb, unsigned int *off)
{
	const struct ipv6hdr *ip6h;
	struct shim6_pair locators;

	*off = find_header(skb);
	if (!*off)
		return NULL;
	ip6h = (const struct ipv6hdr *)(skb->data + QUOTED);
	locators = (struct shim6_pair){ ip6h->saddr, ip6h->daddr };
	return shim6_ctx_by_peer(sn, shim6_hdr_tag((const struct shim6_hdr *)(skb->data + *off)), &locators);
}

/* The ICMPv6 checksum is right: as we make another, nobody can tell later. */
static bool sum_right(const struct sk_buff *skb)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	unsigned int len = skb->len - sizeof(*ip6h);

	return skb_csum_unnecessary(skb) ||
	       !csum_ipv6_magic(&ip6h->saddr, &ip6h->daddr, len, IPPROTO_ICMPV6,
				skb_checksum(skb, sizeof(*ip6h), len, 0));
}

/*
 * Take the header at off out of the quoted packet; prev names it. With extensions (RFC 4884), what is quoted keeps its
 * least length by padding. Returns how much shorter the message is.
 */
static unsigned int remove_header(struct sk_buff *skb, unsigned int off, unsigned int prev)
{
	struct icmp6hdr *icmp6h = (struct icmp6hdr *)(skb->data + sizeof(struct ipv6hdr));
	u8 *words = (u8 *)&icmp6h->icmp6_dataun, *hdr = skb->data + off;
	unsigned int end = skb->len;

	skb->data[prev] = ((struct shim6_hdr *)hdr)->nexthdr;
	if (icmp6h->icmp6_type == ICMPV6_DEST_UNREACH || icmp6h->icmp6_type == ICMPV6_TIME_EXCEED) {
		end = QUOTED + *words * 8;
		if (*words == MIN_WORDS && end <= skb->len && off + SHIM6_HDR_LEN <= end) {
			memmove(hdr, hdr + SHIM6_HDR_LEN, end - off - SHIM6_HDR_LEN);
			memset(skb->data + end - SHIM6_HDR_LEN, 0, SHIM6_HDR_LEN);
			return 0;
		}
		if (*words)
			--*words;
		end = skb->len;
	}
	memmove(hdr, hdr + SHIM6_HDR_LEN, end - off - SHIM6_HDR_LEN);
	skb_trim(skb, end - SHIM6_HDR_LEN);
	return SHIM6_HDR_LEN;
}

/* What the message says of sizes and places in the packet; prev and off are places in the message. */
static void adjust(struct icmp6hdr *icmp6h, unsigned int off, unsigned int prev)
{
	u32 pointer;

	switch (icmp6h->icmp6_type) {
	case ICMPV6_PKT_TOOBIG:
		/* RFC 5533 section 15.4. IPv6 cannot be told of less than its minimum. */
		icmp6h->icmp6_mtu = htonl(max_t(u32, ntohl(icmp6h->icmp6_mtu), IPV6_MIN_MTU + SHIM6_HDR_LEN) -
					  SHIM6_HDR_LEN);
		break;
	case ICMPV6_PARAMPROB:
		pointer = ntohl(icmp6h->icmp6_pointer);
		if (pointer >= off - QUOTED + SHIM6_HDR_LEN)
			pointer -= SHIM6_HDR_LEN;
		else if (pointer >= off - QUOTED)
			pointer = prev - QUOTED;
		icmp6h->icmp6_pointer = htonl(pointer);
		break;
	}
}

/* Make an error such as if the quoted packet had been sent between ULIDs. skb->data is the IPv6 header. */
void shim6_icmp_translate(struct shim6_net *sn, struct sk_buff *skb, const struct shim6_ctx *ctx, unsigned int off)
{
	unsigned int prev = QUOTED + offsetof(struct ipv6hdr, nexthdr), at = QUOTED + sizeof(struct ipv6hdr);
	unsigned int shorter, len;
	struct icmp6hdr *icmp6h;
	struct ipv6hdr *ip6h;

	if (skb_ensure_writable(skb, skb->len)) {
		shim6_count(sn, SHIM6_STAT_RX_NO_MEMORY);
		return;
	}
	if (!sum_right(skb))
		return;
	icmp6h = (struct icmp6hdr *)(skb->data + sizeof(*ip6h));
	if (icmp6h->icmp6_type == ICMPV6_PKT_TOOBIG) {
		__skb_pull(skb, QUOTED);
		ip6_update_pmtu(skb, sn->net, icmp6h->icmp6_mtu, skb->dev->ifindex, 0, sock_net_uid(sn->net, NULL));
		__skb_push(skb, QUOTED);
	}

	while (at < off) {
		prev = at;
		at += ipv6_optlen((struct ipv6_opt_hdr *)(skb->data + at));
	}
	adjust(icmp6h, off, prev);
	shorter = remove_header(skb, off, prev);

	ip6h = (struct ipv6hdr *)(skb->data + QUOTED);
	ip6h->payload_len = htons(ntohs(ip6h->payload_len) - SHIM6_HDR_LEN);
	ip6h->saddr = ctx->node.ulids.local;
	ip6h->daddr = ctx->node.ulids.peer;

	ip6h = ipv6_hdr(skb);
	ip6h->payload_len = htons(ntohs(ip6h->payload_len) - shorter);
	ip6h->daddr = ctx->node.ulids.local;
	len = skb->len - sizeof(*ip6h);
	icmp6h->icmp6_cksum = 0;
	icmp6h->icmp6_cksum = csum_ipv6_magic(&ip6h->saddr, &ip6h->daddr, len, IPPROTO_ICMPV6,
					      csum_partial(icmp6h, len, 0));
	skb->ip_summed = CHECKSUM_NONE;
	shim6_count(sn, SHIM6_STAT_RX_ICMP);
}

/* An error about protocol 140 that was not translated, or a redirect. skb->data is the quoted packet. */
int shim6_icmp_error(struct sk_buff *skb, struct inet6_skb_parm *opt, u8 type, u8 code, int offset,
		     __be32 info)
{
	const struct shim6_hdr *hdr = (const struct shim6_hdr *)(skb->data + offset);
	struct net *net = dev_net(skb->dev);

	if (type == NDISC_REDIRECT)
		ip6_redirect(skb, net, skb->dev->ifindex, 0, sock_net_uid(net, NULL));
	else if (shim6_hdr_is_payload(hdr))
		shim6_count(shim6_net(net), SHIM6_STAT_RX_ICMP_UNKNOWN);
	return 0;
}
