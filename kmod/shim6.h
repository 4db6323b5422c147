/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _SHIM6_H
#define _SHIM6_H

#include <linux/hash.h>
#include <linux/ipv6.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/ratelimit.h>
#include <linux/rhashtable.h>
#include <linux/shim6.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/addrconf.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/xfrm.h>

#include "hdr.h"
#include "heuristic.h"

#define SHIM6_TIMEOUT_MS_MIN	100
#define SHIM6_TIMEOUT_MS_MAX	3600000
#define SHIM6_TIMEOUT_MS	15000	/* RFC 5534 section 7 */
#define SHIM6_INTERVAL_MS_MIN	20

/* An entry of the ULID-pair table: a flow that is a candidate for a context, or a context with FII 0. */
struct shim6_node {
	struct rhash_head	rhash;
	struct shim6_pair	ulids;
	bool			is_ctx;
	bool			gone;		/* out of its tables */
};

#define SHIM6_RECENT_BITS	6

/* Plain additions, so that packets on several CPUs may lose a few; the context's own counters lose none. */
struct shim6_path_counters {
	u64		tx_packets, tx_bytes;
	u64		rx_packets, rx_bytes;
	unsigned long	last_tx, last_rx;	/* jiffies, if there was a packet */
};

struct shim6_path {
	struct shim6_pair	locators;
	bool			rewrite;	/* the locators are not the ULIDs */
	bool			receives;	/* the local one is among the context's local locators */
	struct shim6_route __percpu *route;
	struct shim6_path_counters counters;
};

/*
 * What CTX_SET replaces: published by RCU and not changed then. The states belong to the current path, path[0], and are
 * those of the predecessor when neither that nor the peer's tag has changed.
 */
struct shim6_paths {
	struct rhlist_head	peer_node;
	u64			tag_peer;
	struct shim6_ctx	*ctx;
	struct xfrm_state	*out, *in;
	struct rcu_head		rcu;
	unsigned int		n_locators;
	struct in6_addr		*locator;	/* behind the paths */
	unsigned int		n_paths;
	struct shim6_path	path[];
};

struct shim6_ctx_counters {
	u64		tx_packets, tx_bytes;
	u64		rx_packets, rx_bytes;
	unsigned long	last_tx, last_rx;	/* jiffies */
};

/*
 * A ULID-pair context. It lives as long as its states: each holds a reference until its destructor has run.
 * Readers that found it in a table may use paths until their RCU read section ends.
 */
struct shim6_ctx {
	struct shim6_node	node;
	struct rhash_head	tag_node;
	u64			tag_local;
	struct shim6_paths __rcu *paths;
	struct shim6_ctx_counters __percpu *counters;

	/* REAP, see timers.c */
	atomic64_t		reap;
	u32			send_timeout_ms;
	u32			keepalive_timeout_ms;
	u32			keepalive_interval_ms;
	struct timer_list	timer;
	spinlock_t		lock;		/* epoch, keepalives*, and changes of the REAP state */
	u32			epoch;
	u32			keepalives;
	u32			keepalives_since;

	bool			ulid_gone;	/* no interface has the local ULID */
	bool			dead;
	u32			fii;
	u32			id;		/* also the reqid of both states */
	unsigned long		created;
	unsigned long		rto_told;	/* jiffies of the last EV_RTO */
	struct shim6_net	*sn;
	struct list_head	flushed;
	refcount_t		refcnt;
	struct rcu_head		rcu;
};

/* What a heuristic has decided in a namespace. */
struct shim6_use_stats {
	u64	refusals;
	u64	triggers;
	u64	vetoes;
};

/* The heuristics that a namespace uses, in the order in which they are asked. */
struct shim6_stack {
	unsigned int		n;
	struct shim6_use	use[];
};

/* The first rule whose pattern matches the device's name counts. Published by RCU and not changed then. */
struct shim6_gso_rule {
	char	name[IFNAMSIZ];
	u8	mode;
};

struct shim6_gso_rules {
	struct rcu_head		rcu;
	unsigned int		n;
	struct shim6_gso_rule	rule[];
};

#define SHIM6_HOOKS	2

struct shim6_mib {
	u64	v[SHIM6_STAT_MAX + 1];
};

struct shim6_net {
	struct net		*net;
	struct rhashtable	by_ulid;	/* shim6_node */
	struct shim6_node __rcu	*recent[1 << SHIM6_RECENT_BITS]; /* found in by_ulid lately, see shim6_node_find() */
	struct rhashtable	by_tag;		/* shim6_ctx by tag_local */
	struct shim6_ctx __rcu	*recent_tag[1 << SHIM6_RECENT_BITS]; /* likewise in by_tag, see shim6_ctx_by_tag() */
	spinlock_t		recent_lock;	/* writes to recent and recent_tag, and gone of nodes */
	struct rhltable		by_peer;	/* shim6_paths by tag_peer */
	struct shim6_stack __rcu *stack;	/* NULL is "none" */
	u32			mark_mask;
	u8			gso_mode;
	struct shim6_gso_rules __rcu *gso_rules;	/* NULL is none */
	bool			tcp_kick;
	bool			enabled;	/* the daemon uses this namespace */
	bool			rto_hint;
	bool			hooked;
	struct nf_hook_ops	hooks[SHIM6_HOOKS];
	struct shim6_mib __percpu *mib;

	struct mutex		lock;		/* every change but those of candidates */
	struct xarray		contexts;	/* by id */
	u32			next_id;
	unsigned int		n_contexts;

	atomic_t		n_candidates;
	struct delayed_work	aging;
	struct work_struct	states_gone;
	struct ratelimit_state	trigger_limit;
	struct ratelimit_state	unknown_tag_limit;

	spinlock_t		kicks_lock;	/* kicks */
	struct list_head	kicks;
	struct work_struct	kick;
};

struct genl_info;

/* main.c */
extern unsigned int shim6_net_id;

/* What is allocated for each context or flow. Unloading complains when some of it is left. */
enum shim6_object {
	SHIM6_OBJECT_CTX,
	SHIM6_OBJECT_PATHS,
	SHIM6_OBJECT_CANDIDATE,

	SHIM6_OBJECTS
};

DECLARE_PER_CPU(long, shim6_objects[SHIM6_OBJECTS]);

static inline void shim6_object_made(enum shim6_object kind)
{
	this_cpu_inc(shim6_objects[kind]);
}

static inline void shim6_object_freed(enum shim6_object kind)
{
	this_cpu_dec(shim6_objects[kind]);
}

static inline struct shim6_net *shim6_net(const struct net *net)
{
	return net_generic(net, shim6_net_id);
}

/* Unicast of global scope or unique local (RFC 5534 section 3.1), which is what a ULID or locator may be. */
static inline bool shim6_addr_ok(const struct in6_addr *addr)
{
	return ipv6_addr_type(addr) == IPV6_ADDR_UNICAST;
}

static inline bool shim6_pair_equal(const struct shim6_pair *a, const struct shim6_pair *b)
{
	return ipv6_addr_equal(&a->local, &b->local) && ipv6_addr_equal(&a->peer, &b->peer);
}

/* mib.c */
u64 shim6_mib_read(const struct shim6_net *sn, enum shim6_stat stat);

void shim6_trace_drop(const struct shim6_net *sn, enum shim6_stat reason);

static inline bool shim6_stat_is_drop(enum shim6_stat stat)
{
	switch (stat) {
	case SHIM6_STAT_TX_NO_ROUTE:
	case SHIM6_STAT_TX_TOO_BIG:
	case SHIM6_STAT_TX_NO_MEMORY:
	case SHIM6_STAT_RX_UNKNOWN_TAG:
	case SHIM6_STAT_RX_NOT_LOCATOR:
	case SHIM6_STAT_RX_MALFORMED:
	case SHIM6_STAT_RX_NO_MEMORY:
		return true;
	default:
		return false;
	}
}

static inline void shim6_count(struct shim6_net *sn, enum shim6_stat stat)
{
	this_cpu_inc(sn->mib->v[stat]);
	if (shim6_stat_is_drop(stat))
		shim6_trace_drop(sn, stat);
}

static inline void shim6_count_by(struct shim6_net *sn, enum shim6_stat stat, u64 n)
{
	this_cpu_add(sn->mib->v[stat], n);
}

/* spec.c */
enum shim6_spec_has {
	SHIM6_HAS_TAG_PEER	= BIT(0),
	SHIM6_HAS_PATHS		= BIT(1),
	SHIM6_HAS_LOCATORS	= BIT(2),
	SHIM6_HAS_SEND_TIMEOUT	= BIT(3),
	SHIM6_HAS_KEEPALIVE_TIMEOUT = BIT(4),
	SHIM6_HAS_INTERVAL	= BIT(5),
};

/* A request to make or change a context. */
struct shim6_spec {
	unsigned int		has;
	struct shim6_pair	ulids;
	u32			fii;
	u64			tag_local;
	u64			tag_peer;
	unsigned int		n_paths;
	struct shim6_pair	path[SHIM6_MAX_PATHS];
	unsigned int		n_locators;
	struct in6_addr		locator[SHIM6_MAX_LOCATORS];
	u32			send_timeout_ms;
	u32			keepalive_timeout_ms;
	u32			keepalive_interval_ms;
};

extern struct netlink_range_validation shim6_tag_range;
extern const struct nla_policy shim6_new_policy[SHIM6_A_MAX + 1];
extern const struct nla_policy shim6_set_policy[SHIM6_A_MAX + 1];

int shim6_spec_parse(struct shim6_spec *spec, struct genl_info *info);

/* ctx.c */
int shim6_ctx_net_init(struct shim6_net *sn);
void shim6_ctx_net_exit(struct shim6_net *sn);
int shim6_ctx_new(struct shim6_net *sn, struct shim6_spec *spec, struct netlink_ext_ack *extack);
int shim6_ctx_set(struct shim6_net *sn, struct shim6_ctx *ctx, struct shim6_spec *spec,
		  struct netlink_ext_ack *extack);
void shim6_ctx_remove(struct shim6_net *sn, struct shim6_ctx *ctx, bool announce);
void shim6_ctx_flush(struct shim6_net *sn);
void shim6_ctx_put(struct shim6_ctx *ctx);
struct shim6_ctx *shim6_ctx_look_up(struct shim6_net *sn, u64 tag);
struct shim6_ctx *shim6_ctx_by_peer(struct shim6_net *sn, u64 tag_peer, const struct shim6_pair *locators);
bool shim6_paths_has_locator(const struct shim6_paths *paths, const struct in6_addr *addr);
void shim6_ctx_check_ulid(struct shim6_ctx *ctx);
void shim6_ctx_counters_read(const struct shim6_ctx *ctx, struct shim6_ctx_counters *sum);

static inline struct shim6_ctx *shim6_node_ctx(struct shim6_node *node)
{
	return container_of(node, struct shim6_ctx, node);
}

/* Tags are random. */
static inline u32 shim6_recent_tag_slot(u64 tag)
{
	return tag & ((1 << SHIM6_RECENT_BITS) - 1);
}

/* The caller is in an RCU read section. */
static inline struct shim6_ctx *shim6_ctx_by_tag(struct shim6_net *sn, u64 tag)
{
	struct shim6_ctx *ctx = rcu_dereference(sn->recent_tag[shim6_recent_tag_slot(tag)]);

	return likely(ctx && ctx->tag_local == tag) ? ctx : shim6_ctx_look_up(sn, tag);
}

static inline u32 shim6_path_index(const struct shim6_net *sn, u32 mark)
{
	u32 mask = READ_ONCE(sn->mark_mask);

	mark &= mask;
	return mark ? mark >> __ffs(mask) : 0;
}

static inline struct shim6_path *shim6_path_select(const struct shim6_net *sn, struct shim6_paths *paths,
						   u32 mark)
{
	if (likely(!mark))
		return paths->path;
	return &paths->path[shim6_path_index(sn, mark) % paths->n_paths];
}

/* Like shim6_path_select(), once for each packet: it counts marks that have no path. */
static inline struct shim6_path *shim6_path_pick(struct shim6_net *sn, struct shim6_paths *paths, u32 mark)
{
	if (unlikely(mark && shim6_path_index(sn, mark) >= paths->n_paths))
		shim6_count(sn, SHIM6_STAT_TX_PATH_BEYOND);
	return shim6_path_select(sn, paths, mark);
}

/* flow.c */
extern const struct rhashtable_params shim6_node_params;

int shim6_flow_init(void);
void shim6_flow_net_init(struct shim6_net *sn);
void shim6_flow_flush(struct shim6_net *sn);
struct shim6_node *shim6_node_look_up(struct shim6_net *sn, const struct in6_addr *local,
				      const struct in6_addr *peer);
void shim6_node_forget(struct shim6_net *sn, struct shim6_node *node);
int shim6_node_promote(struct shim6_net *sn, struct shim6_ctx *ctx);
void shim6_flow_create(struct shim6_net *sn, const struct in6_addr *local, const struct in6_addr *peer,
		       const struct sk_buff *skb);
void shim6_flow_note(struct shim6_net *sn, struct shim6_node *node, const struct sk_buff *skb, bool sent);

/* Where a node is kept that was found lately. Who makes others collide here takes the short cut from them, no more. */
static inline u32 shim6_recent_slot(const struct in6_addr *local, const struct in6_addr *peer)
{
	return hash_32((__force u32)local->s6_addr32[3] + (__force u32)peer->s6_addr32[2] * 3 +
		       (__force u32)peer->s6_addr32[3] * 5, SHIM6_RECENT_BITS);
}

/* The node if it was found lately, else NULL. The caller is in an RCU read section. */
static inline struct shim6_node *shim6_node_recent(struct shim6_net *sn, const struct in6_addr *local,
						   const struct in6_addr *peer)
{
	struct shim6_node *node = rcu_dereference(sn->recent[shim6_recent_slot(local, peer)]);

	if (likely(node && ipv6_addr_equal(&node->ulids.peer, peer) && ipv6_addr_equal(&node->ulids.local, local)))
		return node;
	return NULL;
}

/* The caller is in an RCU read section. */
static inline struct shim6_node *shim6_node_find(struct shim6_net *sn, const struct in6_addr *local,
						 const struct in6_addr *peer)
{
	return shim6_node_recent(sn, local, peer) ?: shim6_node_look_up(sn, local, peer);
}

int shim6_flow_dump_start(struct netlink_callback *cb);
int shim6_flow_dump(struct sk_buff *skb, struct netlink_callback *cb);
int shim6_flow_dump_done(struct netlink_callback *cb);

/* heuristic.c */
const struct shim6_heuristic *shim6_heuristic_get(const char *name);
int shim6_heuristic_fill(struct sk_buff *skb);

/* stack.c */
struct shim6_stack *shim6_stack_new(struct net *net, const char *names, struct netlink_ext_ack *extack);
void shim6_stack_free(struct shim6_stack *stack);
void shim6_stack_select(struct shim6_net *sn, struct shim6_stack *stack);
int shim6_stack_set_param(struct shim6_net *sn, const char *heuristic, const char *param, u64 value,
			  struct netlink_ext_ack *extack);
int shim6_stack_fill_names(struct sk_buff *skb, struct shim6_net *sn);
int shim6_stack_fill(struct sk_buff *skb, struct shim6_net *sn);

/* gso.c */
extern const struct nla_policy shim6_gso_policy[SHIM6_A_DEVICE + 1];

struct shim6_gso_rules *shim6_gso_rules_new(const struct nlattr *list, struct netlink_ext_ack *extack);
void shim6_gso_rules_select(struct shim6_net *sn, struct shim6_gso_rules *rules);
int shim6_gso_fill_rules(struct sk_buff *skb, struct shim6_net *sn);
bool shim6_gso_whole_by_rules(struct shim6_net *sn, const struct net_device *dev, int gso_type);

/* Whether dev may have the packet whole. The caller is in an RCU read section. */
static inline bool shim6_gso_whole(struct shim6_net *sn, const struct net_device *dev, const struct sk_buff *skb)
{
	int gso_type = skb_shinfo(skb)->gso_type;
	u8 mode = READ_ONCE(sn->gso_mode);

	if (unlikely(rcu_access_pointer(sn->gso_rules)))
		return shim6_gso_whole_by_rules(sn, dev, gso_type);
	return mode == SHIM6_GSO_AUTO ? !net_gso_ok(dev->features, gso_type) : mode == SHIM6_GSO_WHOLE;
}

int shim6_gso_dump(struct sk_buff *skb, struct netlink_callback *cb);

/* hook.c */
void shim6_hook_net_init(struct shim6_net *sn);
int shim6_hook_update(struct shim6_net *sn);
int shim6_hook(struct shim6_net *sn);
void shim6_unhook(struct shim6_net *sn);

/* send.c */
void shim6_send_init(void);
unsigned int shim6_send(struct shim6_net *sn, struct sk_buff *skb, struct shim6_ctx *ctx, struct shim6_paths *paths,
			struct shim6_path *path, const struct nf_hook_state *state);

/* xlat.c */
int shim6_output(struct xfrm_state *x, struct sk_buff *skb);
int shim6_input(struct xfrm_state *x, struct sk_buff *skb);

/* xfrm.c */
int shim6_xfrm_init(void);
void shim6_xfrm_exit(void);
int shim6_states_new(struct shim6_ctx *ctx, struct shim6_paths *paths, const struct shim6_paths *old);
void shim6_states_announce(struct shim6_net *sn, const struct shim6_paths *paths);
void shim6_states_delete(const struct shim6_paths *paths, bool announce);
void shim6_states_gone(struct work_struct *work);
extern wait_queue_head_t shim6_states_wait;

/* timers.c */
void shim6_timers_init(struct shim6_ctx *ctx);
void shim6_timers_changed(struct shim6_ctx *ctx);
void shim6_reap_turn_sent(struct shim6_ctx *ctx);
void shim6_reap_turn_received(struct shim6_ctx *ctx);
void shim6_reap_set(struct shim6_ctx *ctx, u8 state, u32 epoch, u8 send_op, u8 keepalive_op);
u8 shim6_reap_state(const struct shim6_ctx *ctx, u32 *epoch);

/* In ctx->reap, beside what timers.c alone reads. */
#define SHIM6_REAP_STATE	GENMASK_ULL(1, 0)
#define SHIM6_REAP_SEND		BIT_ULL(2)	/* Send Timer runs */
#define SHIM6_REAP_KEEPALIVE	BIT_ULL(3)	/* Keepalive Timer runs */

/* Whether payload that is being sent changes something. */
static inline bool shim6_reap_turns_sent(const struct shim6_ctx *ctx)
{
	u64 word = atomic64_read(&ctx->reap);

	return (word & SHIM6_REAP_STATE) != SHIM6_REAP_EXPLORING &&
	       (word & (SHIM6_REAP_SEND | SHIM6_REAP_KEEPALIVE)) != SHIM6_REAP_SEND;
}

/* Whether payload that was received changes something. */
static inline bool shim6_reap_turns_received(const struct shim6_ctx *ctx)
{
	u64 word = atomic64_read(&ctx->reap);

	return (word & (SHIM6_REAP_STATE | SHIM6_REAP_SEND | SHIM6_REAP_KEEPALIVE)) !=
	       (SHIM6_REAP_OPERATIONAL | SHIM6_REAP_KEEPALIVE);
}

/* tcp.c */
int shim6_tcp_init(void);
void shim6_tcp_exit(void);
void shim6_tcp_note_rto(struct shim6_ctx *ctx, const struct sk_buff *skb);
void shim6_tcp_net_init(struct shim6_net *sn);
void shim6_tcp_net_exit(struct shim6_net *sn);

/* neigh.c */
void shim6_neigh_drop(struct net *net, bool (*is_stuck)(const struct sk_buff *skb, void *arg), void *arg);

/* offload.c */
int shim6_offload_init(void);
void shim6_offload_exit(void);

/* proto.c */
int shim6_proto_init(void);
void shim6_proto_exit(void);

/* icmp.c */
struct shim6_ctx *shim6_icmp_ctx(struct shim6_net *sn, struct sk_buff *skb, unsigned int *off);
void shim6_icmp_translate(struct shim6_net *sn, struct sk_buff *skb, const struct shim6_ctx *ctx, unsigned int off);
int shim6_icmp_error(struct sk_buff *skb, struct inet6_skb_parm *opt, u8 type, u8 code, int offset,
		     __be32 info);

/* netlink.c */
extern struct genl_family shim6_genl;

int shim6_netlink_init(void);
void shim6_netlink_exit(void);
int shim6_fill_ctx(struct sk_buff *skb, const struct shim6_ctx *ctx, const struct shim6_paths *paths,
		   bool with_paths);

/* event.c */
void shim6_event_trigger(struct shim6_net *sn, const struct shim6_flow *flow);
void shim6_event_timer(struct shim6_ctx *ctx, u8 cmd, u32 epoch, bool last);
void shim6_event_unknown_tag(struct shim6_net *sn, const struct ipv6hdr *hdr, u64 tag);
void shim6_event_ctx_gone(const struct shim6_ctx *ctx);
void shim6_event_rto(struct shim6_ctx *ctx);
void shim6_event_tcp_kick(struct shim6_net *sn, const struct in6_addr *ulid_local,
			  const struct in6_addr *ulid_peer, u32 sockets);
void shim6_path_update(struct shim6_ctx *ctx, bool outage);

#endif
