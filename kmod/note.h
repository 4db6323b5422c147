/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is noted of each packet: the REAP stamps, the counters, and what `ip -s xfrm state` shows. It is little, and
 * each packet pays for it, so that it is inline; what few packets need is in note.c.
 */
#ifndef _SHIM6_NOTE_H
#define _SHIM6_NOTE_H

#include <linux/jiffies.h>

#include "shim6.h"

static inline unsigned int shim6_packets(const struct sk_buff *skb)
{
	unsigned int segs = skb_shinfo(skb)->gso_segs;

	return segs + !segs;
}

/*
 * Counting is plain addition: senders of one context on several CPUs may lose a few in the states' lifetimes, for which
 * ESP takes the state's lock. The context's own counters lose none.
 */
static inline void shim6_count_state(struct xfrm_state *x, unsigned int packets, unsigned int bytes)
{
	WRITE_ONCE(x->curlft.packets, x->curlft.packets + packets);
	WRITE_ONCE(x->curlft.bytes, x->curlft.bytes + bytes);
}

/* note.c */
void shim6_stamp_tx(struct shim6_ctx *ctx, struct shim6_paths *paths, struct shim6_path *path);
void shim6_stamp_rx(struct shim6_ctx *ctx, const struct shim6_paths *paths);

/*
 * Count payload that is being sent by this path, still between ULIDs. Returns whether shim6_stamp_tx() must follow: for
 * the first packet in a jiffy, and when the direction turns.
 */
static inline bool shim6_count_tx(struct shim6_ctx *ctx, struct shim6_paths *paths, struct shim6_path *path,
				  const struct sk_buff *skb)
{
	struct shim6_ctx_counters __percpu *own = ctx->counters;
	struct shim6_path_counters *counters = &path->counters;
	unsigned int packets = shim6_packets(skb), bytes = skb->len;

	this_cpu_add(own->tx_packets, packets);
	this_cpu_add(own->tx_bytes, bytes);
	shim6_count_state(paths->out, packets, bytes);
	WRITE_ONCE(counters->tx_packets, counters->tx_packets + packets);
	WRITE_ONCE(counters->tx_bytes, counters->tx_bytes + bytes);
	return READ_ONCE(counters->last_tx) != jiffies || shim6_reap_turns_sent(ctx);
}

/* Count payload that was received, and is between ULIDs now. Returns whether shim6_stamp_rx() must follow. */
static inline bool shim6_count_rx(struct shim6_ctx *ctx, const struct shim6_paths *paths, const struct sk_buff *skb)
{
	struct shim6_ctx_counters __percpu *own = ctx->counters;
	unsigned int packets = shim6_packets(skb), bytes = skb->len;

	this_cpu_add(own->rx_packets, packets);
	this_cpu_add(own->rx_bytes, bytes);
	shim6_count_state(paths->in, packets, bytes);
	return this_cpu_read(own->last_rx) != jiffies || shim6_reap_turns_received(ctx);
}

static inline void shim6_note_rx(struct shim6_ctx *ctx, const struct shim6_paths *paths, const struct sk_buff *skb)
{
	if (shim6_count_rx(ctx, paths, skb))
		shim6_stamp_rx(ctx, paths);
}

/* The path whose reverse a packet has come by, NULL if it is none of ours. */
static inline struct shim6_path *shim6_path_of(struct shim6_paths *paths, const struct ipv6hdr *ip6h)
{
	struct shim6_path *path;

	for (path = paths->path; path < paths->path + paths->n_paths; path++)
		if (ipv6_addr_equal(&path->locators.local, &ip6h->daddr) &&
		    ipv6_addr_equal(&path->locators.peer, &ip6h->saddr))
			return path;
	return NULL;
}

/* A packet has come between locators, those of path if we use them. Peers may use others, which are only counted. */
static inline void shim6_note_rx_path(struct shim6_net *sn, struct shim6_path *path, const struct sk_buff *skb)
{
	struct shim6_path_counters *counters;
	unsigned long now = jiffies;

	if (unlikely(!path)) {
		shim6_count(sn, SHIM6_STAT_RX_OTHER_PATH);
		return;
	}
	counters = &path->counters;
	WRITE_ONCE(counters->rx_packets, counters->rx_packets + shim6_packets(skb));
	WRITE_ONCE(counters->rx_bytes, counters->rx_bytes + skb->len);
	if (READ_ONCE(counters->last_rx) != now)
		WRITE_ONCE(counters->last_rx, now);
}

#endif
