/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is noted of each packet: the REAP stamps, the counters, and what `ip -s xfrm state` shows. It is little, and
 * each packet pays for it, so that it is inline.
 */
#ifndef _SHIM6_NOTE_H
#define _SHIM6_NOTE_H

#include <linux/jiffies.h>
#include <linux/timekeeping.h>

#include "shim6.h"

static inline unsigned int shim6_packets(const struct sk_buff *skb)
{
	return max_t(unsigned int, 1, skb_shinfo(skb)->gso_segs);
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

static inline void shim6_stamp_state(struct xfrm_state *x)
{
	time64_t now = ktime_get_real_seconds();

	if (!READ_ONCE(x->curlft.use_time))
		WRITE_ONCE(x->curlft.use_time, now);
	if (READ_ONCE(x->lastused) != now)
		WRITE_ONCE(x->lastused, now);
}

/* Payload is being sent, still between ULIDs, by this path. */
static inline void shim6_note_tx(struct shim6_ctx *ctx, struct shim6_paths *paths, struct shim6_path *path,
				 const struct sk_buff *skb)
{
	struct shim6_path_counters *counters = &path->counters;
	unsigned int packets = shim6_packets(skb);
	unsigned long now = jiffies;

	shim6_reap_sent(ctx);
	this_cpu_add(ctx->counters->tx_packets, packets);
	this_cpu_add(ctx->counters->tx_bytes, skb->len);
	shim6_count_state(paths->out, packets, skb->len);
	WRITE_ONCE(counters->tx_packets, counters->tx_packets + packets);
	WRITE_ONCE(counters->tx_bytes, counters->tx_bytes + skb->len);
	if (unlikely(READ_ONCE(counters->last_tx) != now)) {
		WRITE_ONCE(counters->last_tx, now);
		this_cpu_write(ctx->counters->last_tx, now);
		shim6_stamp_state(paths->out);
	}
}

/* Payload was received, and is between ULIDs now. */
static inline void shim6_note_rx(struct shim6_ctx *ctx, const struct shim6_paths *paths,
				 const struct sk_buff *skb)
{
	unsigned int packets = shim6_packets(skb);
	unsigned long now = jiffies;

	shim6_reap_received(ctx);
	this_cpu_add(ctx->counters->rx_packets, packets);
	this_cpu_add(ctx->counters->rx_bytes, skb->len);
	shim6_count_state(paths->in, packets, skb->len);
	if (unlikely(this_cpu_read(ctx->counters->last_rx) != now)) {
		this_cpu_write(ctx->counters->last_rx, now);
		shim6_stamp_state(paths->in);
	}
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
