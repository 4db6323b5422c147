// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table by ULID pair, and the flows in it that have no context: candidates. An outgoing packet makes a candidate,
 * packets both ways are counted and shown to the heuristic, idleness ends it, and a context takes its place.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <net/genetlink.h>

#include "shim6.h"
#include "trace.h"

#define CANDIDATE_IDLE		(120 * HZ)
#define AGING_INTERVAL		(30 * HZ)
/* When the table is more than half full, such as by a flood of destinations: room must come back soon. */
#define CANDIDATE_IDLE_PRESSED	(5 * HZ)
#define AGING_INTERVAL_PRESSED	(5 * HZ)
#define AGING_BATCH		4096	/* entries looked at without giving way */
/* A flow that was asked for and got no context is asked for again after this time, doubled each time. */
#define TRIGGER_BACKOFF		(60 * HZ)
#define TRIGGER_BACKOFF_MAX	(3600 * HZ)
#define VETO_WAIT		HZ

static uint max_candidates = 65536;
module_param(max_candidates, uint, 0644);
MODULE_PARM_DESC(max_candidates, "flows without a context that are followed in one network namespace");

struct candidate {
	struct shim6_node	node;
	struct shim6_flow	flow;
	const struct shim6_stack *stack;
	unsigned long		last;
	unsigned long		next_trigger;
	unsigned int		backoff;
	struct rcu_head		rcu;
};

/*
 * Peers choose half of the key, so that hashing must not let them build collisions: multilinear hashing with secret
 * coefficients is universal, and costs half of what jhash2() does.
 */
static u64 hash_key[9] __ro_after_init;

static u32 pair_hash(const void *data, u32 len, u32 seed)
{
	const u32 *word = data;
	u64 sum = hash_key[8] * seed;
	unsigned int i;

	for (i = 0; i < sizeof(struct shim6_pair) / sizeof(u32); i++)
		sum += hash_key[i] * word[i];
	return sum >> 32;
}

static int pair_cmp(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct shim6_node *node = obj;

	return !shim6_pair_equal(&node->ulids, arg->key);
}

const struct rhashtable_params shim6_node_params = {
	.head_offset = offsetof(struct shim6_node, rhash),
	.key_offset = offsetof(struct shim6_node, ulids),
	.key_len = sizeof(struct shim6_pair),
	.hashfn = pair_hash,
	.obj_cmpfn = pair_cmp,
	.automatic_shrinking = true,
};

/*
 * Find a node in the table, and keep it where it is found sooner next time, unless it was taken out of the table
 * meanwhile or somebody else is at it. The lock sees that nobody puts a node there that is gone: a reader who came
 * after the node's last grace period began would find it.
 */
struct shim6_node *shim6_node_look_up(struct shim6_net *sn, const struct in6_addr *local,
				      const struct in6_addr *peer)
{
	struct shim6_pair ulids = { *local, *peer };
	struct shim6_node *node = rhashtable_lookup(&sn->by_ulid, &ulids, shim6_node_params);

	if (node && spin_trylock_bh(&sn->recent_lock)) {
		if (!node->gone)
			rcu_assign_pointer(sn->recent[shim6_recent_slot(local, peer)], node);
		spin_unlock_bh(&sn->recent_lock);
	}
	return node;
}

/* The caller has taken the node out of the table, and frees it a grace period later. */
void shim6_node_forget(struct shim6_net *sn, struct shim6_node *node)
{
	struct shim6_node __rcu **recent = &sn->recent[shim6_recent_slot(&node->ulids.local, &node->ulids.peer)];

	spin_lock_bh(&sn->recent_lock);
	node->gone = true;
	if (rcu_access_pointer(*recent) == node)
		RCU_INIT_POINTER(*recent, NULL);
	spin_unlock_bh(&sn->recent_lock);
}

static struct candidate *node_candidate(struct shim6_node *node)
{
	return container_of(node, struct candidate, node);
}

static void candidate_free_rcu(struct rcu_head *rcu)
{
	struct candidate *c = container_of(rcu, struct candidate, rcu);
	const struct shim6_use *use;

	for (use = c->stack->use; use < c->stack->use + c->stack->n; use++)
		if (use->heuristic->flow_end)
			use->heuristic->flow_end(use, &c->flow);
	kfree(c);
	shim6_object_freed(SHIM6_OBJECT_CANDIDATE);
}

/* The caller has taken it out of the table. */
static void candidate_end(struct shim6_net *sn, struct candidate *c)
{
	shim6_node_forget(sn, &c->node);
	atomic_dec(&sn->n_candidates);
	call_rcu(&c->rcu, candidate_free_rcu);
}

/* Put the context in the table, in the place of a candidate if there is one. */
int shim6_node_promote(struct shim6_net *sn, struct shim6_ctx *ctx)
{
	struct shim6_node *old;
	int err;

	do {
		rcu_read_lock();
		old = rhashtable_lookup_get_insert_fast(&sn->by_ulid, &ctx->node.rhash, shim6_node_params);
		if (IS_ERR_OR_NULL(old)) {
			err = PTR_ERR_OR_ZERO(old);
		} else if (old->is_ctx) {
			err = -EEXIST;
		} else {
			err = rhashtable_replace_fast(&sn->by_ulid, &old->rhash, &ctx->node.rhash,
						      shim6_node_params);
			if (!err)
				candidate_end(sn, node_candidate(old));
		}
		rcu_read_unlock();
	} while (err == -ENOENT);	/* the candidate has just ended */
	return err;
}

static bool pressed(unsigned int candidates)
{
	return candidates > READ_ONCE(max_candidates) / 2;
}

static bool refused(const struct shim6_stack *stack, const struct shim6_pair *ulids, const struct sk_buff *skb)
{
	const struct shim6_use *use;

	for (use = stack->use; use < stack->use + stack->n; use++) {
		if (use->heuristic->flow_new && !use->heuristic->flow_new(use, ulids, skb)) {
			this_cpu_inc(use->stats->refusals);
			return true;
		}
	}
	return false;
}

/* A packet is being sent and no entry was found; the caller is in an RCU read section. */
void shim6_flow_create(struct shim6_net *sn, const struct in6_addr *local, const struct in6_addr *peer,
		       const struct sk_buff *skb)
{
	const struct shim6_stack *stack = rcu_dereference(sn->stack);
	struct shim6_pair ulids = { *local, *peer };
	struct candidate *c;
	unsigned int n;

	if (!stack || !shim6_addr_ok(local) || !shim6_addr_ok(peer) || refused(stack, &ulids, skb))
		return;
	n = atomic_inc_return(&sn->n_candidates);
	if (n > READ_ONCE(max_candidates))
		goto full;
	c = kzalloc(sizeof(*c), GFP_ATOMIC | __GFP_NOWARN);
	if (!c)
		goto full;
	c->node.ulids = ulids;
	c->flow.ulids = &c->node.ulids;
	c->stack = stack;
	c->flow.created = jiffies;
	c->last = jiffies;
	c->next_trigger = jiffies;

	if (rhashtable_lookup_insert_fast(&sn->by_ulid, &c->node.rhash, shim6_node_params)) {
		atomic_dec(&sn->n_candidates);
		kfree(c);
		return;
	}
	shim6_object_made(SHIM6_OBJECT_CANDIDATE);
	if (pressed(n) && !pressed(n - 1))
		mod_delayed_work(system_power_efficient_wq, &sn->aging, AGING_INTERVAL_PRESSED);
	else
		queue_delayed_work(system_power_efficient_wq, &sn->aging, AGING_INTERVAL);
	shim6_flow_note(sn, &c->node, skb, true);
	return;

full:
	atomic_dec(&sn->n_candidates);
	shim6_count(sn, SHIM6_STAT_CANDIDATES_FULL);
}

/* The first heuristic that wants a context. */
static const struct shim6_use *wanted_by(struct candidate *c, const struct sk_buff *skb, bool sent)
{
	const struct shim6_use *use;

	for (use = c->stack->use; use < c->stack->use + c->stack->n; use++)
		if (use->heuristic->packet && use->heuristic->packet(use, &c->flow, skb, sent))
			return use;
	return NULL;
}

static const struct shim6_use *vetoed_by(const struct candidate *c)
{
	const struct shim6_use *use;

	for (use = c->stack->use; use < c->stack->use + c->stack->n; use++)
		if (use->heuristic->veto && use->heuristic->veto(use, &c->flow))
			return use;
	return NULL;
}

static void trigger(struct shim6_net *sn, struct candidate *c, const struct shim6_use *wanted,
		    unsigned long when)
{
	unsigned long wait = min_t(unsigned long, (unsigned long)TRIGGER_BACKOFF << c->backoff,
				   TRIGGER_BACKOFF_MAX);
	const struct shim6_use *veto = vetoed_by(c);

	if (veto) {
		if (cmpxchg(&c->next_trigger, when, jiffies + VETO_WAIT) == when)
			this_cpu_inc(veto->stats->vetoes);
		return;
	}
	if (!__ratelimit(&sn->trigger_limit))
		return;
	/* One of the CPUs that come here at once goes on. */
	if (cmpxchg(&c->next_trigger, when, jiffies + wait) != when)
		return;
	if (wait < TRIGGER_BACKOFF_MAX)
		c->backoff++;
	this_cpu_inc(wanted->stats->triggers);
	trace_shim6_trigger(sn->net, &c->flow, wanted->heuristic->name);
	shim6_event_trigger(sn, &c->flow);
}

/* Count a packet of a candidate. The caller is in an RCU read section. */
void shim6_flow_note(struct shim6_net *sn, struct shim6_node *node, const struct sk_buff *skb, bool sent)
{
	struct candidate *c = node_candidate(node);
	unsigned long when = READ_ONCE(c->next_trigger);
	const struct shim6_use *wanted;

	WRITE_ONCE(c->flow.packets, c->flow.packets + max_t(u16, 1, skb_shinfo(skb)->gso_segs));
	WRITE_ONCE(c->flow.bytes, c->flow.bytes + skb->len);
	if (time_before(READ_ONCE(c->last), jiffies))
		WRITE_ONCE(c->last, jiffies);

	if (rcu_access_pointer(sn->stack) != c->stack || time_before(jiffies, when))
		return;
	wanted = wanted_by(c, skb, sent);
	if (wanted)
		trigger(sn, c, wanted, when);
}

static void end_candidates(struct shim6_net *sn, unsigned long idle)
{
	struct rhashtable_iter iter;
	struct shim6_node *node;
	unsigned int batch = 0;
	struct candidate *c;

	rhashtable_walk_enter(&sn->by_ulid, &iter);
	rhashtable_walk_start(&iter);
	for (;;) {
		if (++batch % AGING_BATCH == 0) {
			rhashtable_walk_stop(&iter);
			cond_resched();
			rhashtable_walk_start(&iter);
		}
		node = rhashtable_walk_next(&iter);
		if (!node)
			break;
		if (IS_ERR(node) || node->is_ctx)
			continue;
		c = node_candidate(node);
		if (idle && time_before(jiffies, READ_ONCE(c->last) + idle))
			continue;
		if (!rhashtable_remove_fast(&sn->by_ulid, &node->rhash, shim6_node_params))
			candidate_end(sn, c);
	}
	rhashtable_walk_stop(&iter);
	rhashtable_walk_exit(&iter);
}

static void age(struct work_struct *work)
{
	struct shim6_net *sn = container_of(to_delayed_work(work), struct shim6_net, aging);

	end_candidates(sn, pressed(atomic_read(&sn->n_candidates)) ? CANDIDATE_IDLE_PRESSED : CANDIDATE_IDLE);
	if (atomic_read(&sn->n_candidates))
		queue_delayed_work(system_power_efficient_wq, &sn->aging,
				   pressed(atomic_read(&sn->n_candidates)) ? AGING_INTERVAL_PRESSED : AGING_INTERVAL);
}

/* End all candidates. No hook makes new ones: there is none, or no heuristic. A resize may hide one for a while. */
void shim6_flow_flush(struct shim6_net *sn)
{
	while (atomic_read(&sn->n_candidates)) {
		end_candidates(sn, 0);
		cond_resched();
	}
	cancel_delayed_work_sync(&sn->aging);
}

void shim6_flow_net_init(struct shim6_net *sn)
{
	INIT_DELAYED_WORK(&sn->aging, age);
	spin_lock_init(&sn->recent_lock);
	ratelimit_state_init(&sn->trigger_limit, HZ, 100);
	ratelimit_set_flags(&sn->trigger_limit, RATELIMIT_MSG_ON_RELEASE);
}

int __init shim6_flow_init(void)
{
	get_random_bytes(hash_key, sizeof(hash_key));
	return 0;
}

int shim6_flow_dump_start(struct netlink_callback *cb)
{
	struct shim6_net *sn = shim6_net(sock_net(cb->skb->sk));
	struct rhashtable_iter *iter = kmalloc(sizeof(*iter), GFP_KERNEL);

	if (!iter)
		return -ENOMEM;
	rhashtable_walk_enter(&sn->by_ulid, iter);
	cb->args[0] = (long)iter;
	return 0;
}

int shim6_flow_dump_done(struct netlink_callback *cb)
{
	struct rhashtable_iter *iter = (struct rhashtable_iter *)cb->args[0];

	rhashtable_walk_exit(iter);
	kfree(iter);
	return 0;
}

static int fill_candidate(struct sk_buff *skb, struct netlink_callback *cb, const struct candidate *c)
{
	void *head;

	head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &shim6_genl, NLM_F_MULTI,
			   SHIM6_CMD_CAND_GET);
	if (!head)
		return -EMSGSIZE;
	if (nla_put_in6_addr(skb, SHIM6_A_ULID_LOCAL, &c->node.ulids.local) ||
	    nla_put_in6_addr(skb, SHIM6_A_ULID_PEER, &c->node.ulids.peer) ||
	    nla_put_u64_64bit(skb, SHIM6_A_BYTES, READ_ONCE(c->flow.bytes), SHIM6_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_A_PACKETS, READ_ONCE(c->flow.packets), SHIM6_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_A_AGE_MS, shim6_flow_age_ms(&c->flow), SHIM6_A_PAD) ||
	    (READ_ONCE(c->backoff) && nla_put_flag(skb, SHIM6_A_ASKED))) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return 0;
}

int shim6_flow_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct rhashtable_iter *iter = (struct rhashtable_iter *)cb->args[0];
	struct shim6_node *node;

	rhashtable_walk_start(iter);
	/* The entry for which there was no room last time comes again; a resize may repeat some. */
	for (node = rhashtable_walk_peek(iter); node; node = rhashtable_walk_next(iter)) {
		if (IS_ERR(node) || node->is_ctx)
			continue;
		if (fill_candidate(skb, cb, node_candidate(node)))
			break;
	}
	rhashtable_walk_stop(iter);
	return skb->len;
}
