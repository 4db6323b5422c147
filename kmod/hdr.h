/* SPDX-License-Identifier: GPL-2.0-only */
/* Payload Extension Header on the wire (RFC 5533 section 5.2). */
#ifndef _SHIM6_HDR_H
#define _SHIM6_HDR_H

#include <linux/types.h>
#include <asm/byteorder.h>

struct shim6_hdr {
	__u8	nexthdr;
	__u8	hdrlen;		/* zero in a Payload Extension Header */
	__be16	tag_hi;		/* P bit and the upper 15 bits of the tag */
	__be32	tag_lo;
};

#define SHIM6_HDR_LEN	8
#define SHIM6_HDR_P	0x8000
#define SHIM6_TAG_MAX	((1ULL << 47) - 1)

static inline bool shim6_hdr_is_payload(const struct shim6_hdr *hdr)
{
	return hdr->tag_hi & cpu_to_be16(SHIM6_HDR_P);
}

static inline __u64 shim6_hdr_tag(const struct shim6_hdr *hdr)
{
	return (__u64)(be16_to_cpu(hdr->tag_hi) & ~SHIM6_HDR_P) << 32 |
	       be32_to_cpu(hdr->tag_lo);
}

static inline void shim6_hdr_fill(struct shim6_hdr *hdr, __u8 nexthdr, __u64 tag)
{
	hdr->nexthdr = nexthdr;
	hdr->hdrlen = 0;
	hdr->tag_hi = cpu_to_be16(SHIM6_HDR_P | tag >> 32);
	hdr->tag_lo = cpu_to_be32((__u32)tag);
}

#endif
