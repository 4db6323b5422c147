/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a heuristic module needs: it decides when a flow without a context deserves one (RFC 5533 section 4.3).
 * A module for heuristic NAME is called shim6_heur_NAME, or has MODULE_ALIAS_SHIM6_HEURISTIC("NAME").
 */
#ifndef _SHIM6_HEURISTIC_H
#define _SHIM6_HEURISTIC_H

#include <linux/in6.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/shim6.h>

struct sk_buff;

#define MODULE_ALIAS_SHIM6_HEURISTIC(name)	MODULE_ALIAS("shim6-heur-" name)

struct shim6_pair {
	struct in6_addr	local;
	struct in6_addr	peer;
};

/**
 * struct shim6_flow - all packets of a ULID pair that has no context
 * @ulids: the ULID pair
 * @packets: packets both ways; senders on several CPUs may lose a few
 * @bytes: octets of these, likewise
 * @created: jiffies at the first packet
 * @priv: for the heuristic, zero at first
 */
struct shim6_flow {
	const struct shim6_pair	*ulids;
	u64			packets;
	u64			bytes;
	unsigned long		created;
	unsigned long		priv[2];
};

static inline u64 shim6_flow_age_ms(const struct shim6_flow *flow)
{
	return jiffies64_to_msecs(jiffies - flow->created);
}

/**
 * struct shim6_heuristic - one way to decide
 * @name: as user space chooses it
 * @owner: THIS_MODULE
 * @flow_new: whether to follow a flow whose first packet is being sent; optional, default yes
 * @packet: whether the flow deserves a context now, asked for each packet sent or received, with the packet counted
 *	already; runs in atomic context, on several CPUs at once
 * @flow_end: the flow is followed no longer, no other callback runs for it; optional, atomic context
 *
 * An answer of yes makes an event; while no context comes of it, the next question waits for a growing time.
 */
struct shim6_heuristic {
	char		name[SHIM6_HEURISTIC_NAME_MAX];
	struct module	*owner;
	bool		(*flow_new)(const struct shim6_pair *ulids, const struct sk_buff *skb);
	bool		(*packet)(struct shim6_flow *flow, const struct sk_buff *skb, bool sent);
	void		(*flow_end)(struct shim6_flow *flow);

	/* private: */
	struct list_head list;
};

int shim6_register_heuristic(struct shim6_heuristic *heuristic);
void shim6_unregister_heuristic(struct shim6_heuristic *heuristic);

#endif
