// SPDX-License-Identifier: GPL-2.0-only
/*
 * ICMPv6 errors about rewritten packets (RFC 5533 section 8): the quoted packet is turned back to what the ULP sent,
 * and the ULP told. An error is unauthenticated: beyond path MTU, which is learned for the locators as for any
 * destination, nothing here changes by it.
 */
#include <linux/icmpv6.h>
#include <net/ip6_route.h>
#include <net/ipv6.h>
#include <net/protocol.h>

#include "shim6.h"

/*
 * A copy in which the quoted packet has the ULIDs and no Payload Extension Header. skb->data is the quoted packet, and
 * offset leads to the header in it.
 */
static struct sk_buff *untranslate(const struct sk_buff *skb, int offset, const struct shim6_pair *ulids)
{
	unsigned int prev = offsetof(struct ipv6hdr, nexthdr), at = sizeof(struct ipv6hdr);
	struct ipv6hdr *ip6h;
	struct sk_buff *copy;
	struct shim6_hdr *hdr;
	u8 *words;

	copy = skb_copy(skb, GFP_ATOMIC);
	if (!copy)
		return NULL;

	/* The caller has walked the headers up to offset. */
	while (at < offset) {
		prev = at;
		at += ipv6_optlen((struct ipv6_opt_hdr *)(copy->data + at));
	}
	hdr = (struct shim6_hdr *)(copy->data + offset);
	copy->data[prev] = hdr->nexthdr;
	memmove(hdr, hdr + 1, copy->len - offset - SHIM6_HDR_LEN);
	skb_trim(copy, copy->len - SHIM6_HDR_LEN);

	ip6h = (struct ipv6hdr *)copy->data;
	ip6h->payload_len = htons(ntohs(ip6h->payload_len) - SHIM6_HDR_LEN);
	ip6h->saddr = ulids->local;
	ip6h->daddr = ulids->peer;

	/* RFC 4884 section 4.4: length of the quoted packet in 64-bit words, extensions follow. */
	words = (u8 *)icmp6_hdr(copy) + 4;
	if (icmp6_hdr(copy)->icmp6_type != ICMPV6_PKT_TOOBIG &&
	    icmp6_hdr(copy)->icmp6_type != ICMPV6_PARAMPROB && *words)
		--*words;
	return copy;
}

/* As icmpv6_notify() does, for what followed the Payload Extension Header. */
static void tell_ulp(struct sk_buff *skb, u8 type, u8 code, __be32 info)
{
	const struct inet6_protocol *ulp;
	int offset = sizeof(struct ipv6hdr);
	__be16 frag_off;
	u8 nexthdr;

	nexthdr = ((const struct ipv6hdr *)skb->data)->nexthdr;
	offset = ipv6_skip_exthdr(skb, offset, &nexthdr, &frag_off);
	/* A ULP may look at 8 octets of its header. */
	if (offset < 0 || nexthdr == SHIM6_IPPROTO || !pskb_may_pull(skb, offset + 8))
		return;
	ulp = rcu_dereference(inet6_protos[nexthdr]);
	if (ulp && ulp->err_handler)
		ulp->err_handler(skb, IP6CB(skb), type, code, offset, info);
}

int shim6_icmp_error(struct sk_buff *skb, struct inet6_skb_parm *opt, u8 type, u8 code, int offset,
		     __be32 info)
{
	const struct ipv6hdr *ip6h = (const struct ipv6hdr *)skb->data;
	struct net *net = dev_net(skb->dev);
	const struct shim6_hdr *hdr = (const struct shim6_hdr *)(skb->data + offset);
	struct shim6_pair locators = { ip6h->saddr, ip6h->daddr };
	struct shim6_ctx *ctx;
	struct sk_buff *copy;

	if (type == NDISC_REDIRECT) {
		ip6_redirect(skb, net, skb->dev->ifindex, 0, sock_net_uid(net, NULL));
		return 0;
	}
	if (!shim6_hdr_is_payload(hdr) || hdr->hdrlen)
		return 0;
	ctx = shim6_ctx_by_peer(shim6_net(net), shim6_hdr_tag(hdr), &locators);
	if (!ctx)
		return -ENOENT;

	if (type == ICMPV6_PKT_TOOBIG) {
		ip6_update_pmtu(skb, net, info, skb->dev->ifindex, 0, sock_net_uid(net, NULL));
		info = htonl(max_t(u32, ntohl(info), IPV6_MIN_MTU + SHIM6_HDR_LEN) - SHIM6_HDR_LEN);
	}
	copy = untranslate(skb, offset, &ctx->node.ulids);
	if (!copy)
		return -ENOMEM;
	tell_ulp(copy, type, code, info);
	kfree_skb(copy);
	return 0;
}
