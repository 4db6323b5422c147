/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a heuristic module needs: it decides when a flow without a context deserves one (RFC 5533 section 4.3).
 * A module for heuristic NAME is called shim6_heur_NAME, or has MODULE_ALIAS_SHIM6_HEURISTIC("NAME").
 *
 * A network namespace uses up to SHIM6_STACK_MAX heuristics at once. A flow is followed if none of them refuses it, and
 * gets a context as soon as one of them asks for it and none vetoes.
 */
#ifndef _SHIM6_HEURISTIC_H
#define _SHIM6_HEURISTIC_H

#include <linux/device/driver.h>
#include <linux/in6.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/shim6.h>

struct net;
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
 * @priv: a word for each heuristic in use, zero at first: see shim6_flow_priv()
 */
struct shim6_flow {
	const struct shim6_pair	*ulids;
	u64			packets;
	u64			bytes;
	unsigned long		created;
	unsigned long		priv[SHIM6_STACK_MAX];
};

static inline u64 shim6_flow_age_ms(const struct shim6_flow *flow)
{
	return jiffies64_to_msecs(jiffies - flow->created);
}

/**
 * struct shim6_param - a number that each network namespace can set while the heuristic is in use there
 * @name: as user space names it; a heuristic's parameters end at the first without a name
 * @initial: value when the heuristic is chosen
 * @min: least value
 * @max: greatest value
 */
struct shim6_param {
	char	name[SHIM6_HEURISTIC_NAME_MAX];
	u64	initial;
	u64	min;
	u64	max;
};

/**
 * struct shim6_use - a heuristic as one network namespace uses it
 * @heuristic: which one
 * @net: the network namespace
 * @place: in the order in which heuristics are asked, from 0
 * @param: values of the parameters: see shim6_param()
 */
struct shim6_use {
	const struct shim6_heuristic	*heuristic;
	struct net			*net;
	unsigned int			place;
	u64				param[SHIM6_PARAMS_MAX];

	/* private: */
	struct shim6_use_stats __percpu	*stats;
};

/* The value of the i-th parameter now. */
static inline u64 shim6_param(const struct shim6_use *use, unsigned int i)
{
	return READ_ONCE(use->param[i]);
}

/* The heuristic's own word in a flow. */
static inline unsigned long *shim6_flow_priv(const struct shim6_use *use, struct shim6_flow *flow)
{
	return &flow->priv[use->place];
}

/* How many contexts the network namespace has. */
unsigned int shim6_contexts(const struct net *net);

/**
 * struct shim6_heuristic - one way to decide
 * @name: as user space chooses it, without a plus sign
 * @owner: THIS_MODULE
 * @param: what can be set, at most SHIM6_PARAMS_MAX
 * @flow_new: whether to follow a flow of which a packet is being sent; asked for each packet of a flow that is not
 *	followed, default yes
 * @packet: whether the flow deserves a context now, asked for each packet sent or received, with the packet counted
 *	already; default no
 * @veto: whether the flow must not have a context although some heuristic wants it; asked again after a second;
 *	default no
 * @flow_end: the flow is followed no longer, no other callback runs for it; optional
 *
 * All callbacks run in atomic context, on several CPUs at once. At least one of the first three is there.
 * When a flow deserves a context an event is made; while no context comes of it, the next question waits for a growing
 * time.
 */
struct shim6_heuristic {
	char			name[SHIM6_HEURISTIC_NAME_MAX];
	struct module		*owner;
	struct shim6_param	param[SHIM6_PARAMS_MAX];
	bool			(*flow_new)(const struct shim6_use *use, const struct shim6_pair *ulids,
					    const struct sk_buff *skb);
	bool			(*packet)(const struct shim6_use *use, struct shim6_flow *flow,
					  const struct sk_buff *skb, bool sent);
	bool			(*veto)(const struct shim6_use *use, const struct shim6_flow *flow);
	void			(*flow_end)(const struct shim6_use *use, struct shim6_flow *flow);

	/* private: */
	struct list_head	list;
};

int shim6_register_heuristic(struct shim6_heuristic *heuristic);
void shim6_unregister_heuristic(struct shim6_heuristic *heuristic);

/* For a module that does nothing but register one heuristic. */
#define module_shim6_heuristic(heuristic) \
	module_driver(heuristic, shim6_register_heuristic, shim6_unregister_heuristic)

#endif
