// SPDX-License-Identifier: GPL-2.0-only
/*
 * What waits for a neighbour that does not answer. When a link loses its carrier, the kernel forgets the neighbours
 * on it, and what is sent next waits until the router is found again, or for three seconds (RFC 4861 section 7.2.2).
 * As long as a segment waits, TCP does not send it again, on whatever path: to TCP it has not left the host yet.
 */
#include <net/arp.h>
#include <net/ndisc.h>
#include <net/neighbour.h>

#include "compat.h"
#include "shim6.h"

static void take(struct neighbour *neigh, bool (*is_stuck)(const struct sk_buff *skb, void *arg), void *arg,
		 struct sk_buff_head *taken)
{
	struct sk_buff *skb, *next;

	write_lock_bh(&neigh->lock);
	skb_queue_walk_safe(&neigh->arp_queue, skb, next) {
		if (!is_stuck(skb, arg))
			continue;
		__skb_unlink(skb, &neigh->arp_queue);
		neigh->arp_queue_len_bytes -= skb->truesize;
		__skb_queue_tail(taken, skb);
	}
	write_unlock_bh(&neigh->lock);
}

/* Drops the packets that is_stuck() picks; it is called with a lock held. */
void shim6_neigh_drop(struct net *net, bool (*is_stuck)(const struct sk_buff *skb, void *arg), void *arg)
{
	/* A router behind a tunnel over IPv4 is found when the tunnel's next hop is. */
	struct neigh_table *table[] = { &nd_tbl, &arp_tbl };
	struct neigh_hash_table *nht;
	struct sk_buff_head taken;
	struct neighbour *neigh;
	struct sk_buff *skb;
	unsigned int i, slot;

	__skb_queue_head_init(&taken);
	rcu_read_lock();
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		nht = rcu_dereference(table[i]->nht);
		for (slot = 0; slot < 1U << nht->hash_shift; slot++)
			for (neigh = shim6_neigh_first(nht, slot); neigh; neigh = shim6_neigh_next(neigh))
				if (net_eq(dev_net(neigh->dev), net) &&
				    !skb_queue_empty_lockless(&neigh->arp_queue))
					take(neigh, is_stuck, arg, &taken);
	}
	rcu_read_unlock();

	while ((skb = __skb_dequeue(&taken)))
		kfree_skb_reason(skb, SKB_DROP_REASON_NEIGH_FAILED);
}
