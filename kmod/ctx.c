// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <linux/timer.h>

#include "route.h"
#include "shim6.h"
#include "trace.h"

/* How long a flush waits for the xfrm garbage collector, which holds the module until it has run. */
#define FLUSH_WAIT	(2 * HZ)

static uint max_contexts = 131072;
module_param(max_contexts, uint, 0644);
MODULE_PARM_DESC(max_contexts, "contexts in one network namespace");

/* No peer has a say in our tags, which the daemon draws at random: nobody builds collisions. */
static u32 tag_hash(const void *data, u32 len, u32 seed)
{
	return hash_64(*(const u64 *)data ^ seed, 32);
}

static int tag_cmp(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct shim6_ctx *ctx = obj;

	return ctx->tag_local != *(const u64 *)arg->key;
}

static const struct rhashtable_params tag_params = {
	.head_offset = offsetof(struct shim6_ctx, tag_node),
	.key_offset = offsetof(struct shim6_ctx, tag_local),
	.key_len = sizeof_field(struct shim6_ctx, tag_local),
	.hashfn = tag_hash,
	.obj_cmpfn = tag_cmp,
	.automatic_shrinking = true,
};

static const struct rhashtable_params peer_params = {
	.head_offset = offsetof(struct shim6_paths, peer_node),
	.key_offset = offsetof(struct shim6_paths, tag_peer),
	.key_len = sizeof_field(struct shim6_paths, tag_peer),
	.automatic_shrinking = true,
};

static struct shim6_paths *paths_of(struct shim6_net *sn, struct shim6_ctx *ctx)
{
	return rcu_dereference_protected(ctx->paths, lockdep_is_held(&sn->lock));
}

static void paths_free(struct shim6_paths *paths)
{
	unsigned int i;

	for (i = 0; i < paths->n_paths; i++)
		shim6_route_destroy(&paths->path[i]);
	kfree(paths);
	shim6_object_freed(SHIM6_OBJECT_PATHS);
}

static void paths_free_rcu(struct rcu_head *rcu)
{
	paths_free(container_of(rcu, struct shim6_paths, rcu));
}

static void inherit_counters(struct shim6_path *path, const struct shim6_paths *old)
{
	unsigned int i;

	for (i = 0; old && i < old->n_paths; i++)
		if (shim6_pair_equal(&old->path[i].locators, &path->locators))
			path->counters = old->path[i].counters;
}

/* What the request leaves out is as in old. */
static struct shim6_paths *paths_new(struct shim6_ctx *ctx, const struct shim6_spec *spec,
				     const struct shim6_paths *old)
{
	unsigned int i, n = spec->has & SHIM6_HAS_PATHS ? spec->n_paths : old->n_paths;
	bool given = spec->has & SHIM6_HAS_LOCATORS;
	unsigned int n_locators = given ? spec->n_locators : old->n_locators;
	struct shim6_paths *paths;
	struct shim6_path *path;

	paths = kzalloc(struct_size(paths, path, n) + n_locators * sizeof(*paths->locator), GFP_KERNEL_ACCOUNT);
	if (!paths)
		return NULL;
	shim6_object_made(SHIM6_OBJECT_PATHS);
	paths->ctx = ctx;
	paths->tag_peer = spec->has & SHIM6_HAS_TAG_PEER ? spec->tag_peer : old->tag_peer;

	paths->n_locators = n_locators;
	paths->locator = (struct in6_addr *)&paths->path[n];
	memcpy(paths->locator, given ? spec->locator : old->locator, n_locators * sizeof(*paths->locator));

	for (i = 0; i < n; i++) {
		path = &paths->path[i];
		if (shim6_route_init(path)) {
			paths_free(paths);
			return NULL;
		}
		paths->n_paths++;
		path->locators = spec->has & SHIM6_HAS_PATHS ? spec->path[i] : old->path[i].locators;
		path->rewrite = !shim6_pair_equal(&path->locators, &ctx->node.ulids);
		path->receives = shim6_paths_has_locator(paths, &path->locators.local);
		inherit_counters(path, old);
	}
	return paths;
}

bool shim6_paths_has_locator(const struct shim6_paths *paths, const struct in6_addr *addr)
{
	unsigned int i;

	for (i = 0; i < paths->n_locators; i++)
		if (ipv6_addr_equal(&paths->locator[i], addr))
			return true;
	return false;
}

static void ctx_free(struct shim6_ctx *ctx)
{
	free_percpu(ctx->counters);
	kfree(ctx);
	shim6_object_freed(SHIM6_OBJECT_CTX);
}

static void ctx_free_rcu(struct rcu_head *rcu)
{
	ctx_free(container_of(rcu, struct shim6_ctx, rcu));
}

void shim6_ctx_put(struct shim6_ctx *ctx)
{
	if (refcount_dec_and_test(&ctx->refcnt))
		call_rcu(&ctx->rcu, ctx_free_rcu);
}

/* Find a context in the table, and keep it where it is found sooner next time, as shim6_node_look_up() does. */
struct shim6_ctx *shim6_ctx_look_up(struct shim6_net *sn, u64 tag)
{
	struct shim6_ctx *ctx = rhashtable_lookup(&sn->by_tag, &tag, tag_params);

	if (ctx && spin_trylock_bh(&sn->recent_lock)) {
		if (!ctx->node.gone)
			rcu_assign_pointer(sn->recent_tag[shim6_recent_tag_slot(tag)], ctx);
		spin_unlock_bh(&sn->recent_lock);
	}
	return ctx;
}

/* The caller has taken the context out of its tables, and lets it go a grace period later. */
static void forget(struct shim6_net *sn, struct shim6_ctx *ctx)
{
	struct shim6_ctx __rcu **recent = &sn->recent_tag[shim6_recent_tag_slot(ctx->tag_local)];

	shim6_node_forget(sn, &ctx->node);
	spin_lock_bh(&sn->recent_lock);
	if (rcu_access_pointer(*recent) == ctx)
		RCU_INIT_POINTER(*recent, NULL);
	spin_unlock_bh(&sn->recent_lock);
}

/* The context for which we send with tag_peer between these locators; peers may have chosen equal tags. */
struct shim6_ctx *shim6_ctx_by_peer(struct shim6_net *sn, u64 tag_peer, const struct shim6_pair *locators)
{
	struct rhlist_head *list, *pos;
	struct shim6_paths *paths;
	unsigned int i;

	list = rhltable_lookup(&sn->by_peer, &tag_peer, peer_params);
	rhl_for_each_entry_rcu(paths, pos, list, peer_node)
		for (i = 0; i < paths->n_paths; i++)
			if (shim6_pair_equal(&paths->path[i].locators, locators))
				return paths->ctx;
	return NULL;
}

static bool is_ours(struct net *net, const struct in6_addr *addr)
{
	struct net_device *dev;
	bool ours;

	rcu_read_lock();
	ours = ipv6_chk_addr_and_flags(net, addr, NULL, true, 0, 0);
	/* That did not look into VRFs. */
	for_each_netdev_rcu(net, dev) {
		if (ours)
			break;
		if (netif_is_l3_master(dev))
			ours = ipv6_chk_addr_and_flags(net, addr, dev, true, 0, 0);
	}
	rcu_read_unlock();
	return ours;
}

/* Called again for each address that comes or goes. */
void shim6_ctx_check_ulid(struct shim6_ctx *ctx)
{
	WRITE_ONCE(ctx->ulid_gone, !is_ours(ctx->sn->net, &ctx->node.ulids.local));
}

static int apply_timeouts(struct shim6_ctx *ctx, const struct shim6_spec *spec,
			  struct netlink_ext_ack *extack)
{
	u32 timeout = ctx->keepalive_timeout_ms;
	u32 interval = ctx->keepalive_interval_ms;

	if (spec->has & SHIM6_HAS_KEEPALIVE_TIMEOUT)
		timeout = spec->keepalive_timeout_ms;
	if (spec->has & SHIM6_HAS_INTERVAL)
		interval = spec->keepalive_interval_ms;
	else if (!interval)
		interval = timeout / 3;
	if (interval > timeout) {
		NL_SET_ERR_MSG(extack, "KEEPALIVE_INTERVAL_MS is greater than KEEPALIVE_TIMEOUT_MS");
		return -EINVAL;
	}
	if (spec->has & SHIM6_HAS_SEND_TIMEOUT)
		WRITE_ONCE(ctx->send_timeout_ms, spec->send_timeout_ms);
	WRITE_ONCE(ctx->keepalive_timeout_ms, timeout);
	WRITE_ONCE(ctx->keepalive_interval_ms, interval);
	return 0;
}

static int check_free(struct shim6_net *sn, const struct shim6_spec *spec, struct netlink_ext_ack *extack)
{
	struct shim6_node *node;
	struct shim6_ctx *ctx;
	unsigned long id;
	bool taken;

	rcu_read_lock();
	taken = shim6_ctx_by_tag(sn, spec->tag_local);
	rcu_read_unlock();
	if (taken) {
		NL_SET_ERR_MSG(extack, "TAG_LOCAL is taken");
		return -EEXIST;
	}
	if (!spec->fii) {
		rcu_read_lock();
		node = shim6_node_find(sn, &spec->ulids.local, &spec->ulids.peer);
		taken = node && node->is_ctx && !READ_ONCE(node->gone);
		rcu_read_unlock();
	} else {
		/* Forked contexts are in no table by ULID pair; they are rare. */
		xa_for_each(&sn->contexts, id, ctx)
			taken |= ctx->fii == spec->fii && shim6_pair_equal(&ctx->node.ulids, &spec->ulids);
	}
	if (taken) {
		NL_SET_ERR_MSG(extack, "the ULID pair has a context with this FII");
		return -EEXIST;
	}
	return 0;
}

static struct shim6_ctx *ctx_alloc(struct shim6_net *sn, const struct shim6_spec *spec)
{
	struct shim6_ctx *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);

	if (!ctx)
		return NULL;
	ctx->counters = alloc_percpu_gfp(struct shim6_ctx_counters, GFP_KERNEL_ACCOUNT);
	if (!ctx->counters) {
		kfree(ctx);
		return NULL;
	}
	shim6_object_made(SHIM6_OBJECT_CTX);
	refcount_set(&ctx->refcnt, 1);
	ctx->sn = sn;
	ctx->node.ulids = spec->ulids;
	ctx->node.is_ctx = true;
	ctx->fii = spec->fii;
	ctx->tag_local = spec->tag_local;
	ctx->created = jiffies;
	ctx->send_timeout_ms = SHIM6_TIMEOUT_MS;
	ctx->keepalive_timeout_ms = SHIM6_TIMEOUT_MS;
	shim6_timers_init(ctx);
	return ctx;
}

/* spec has TAG_PEER, PATHS and LOCATORS. sn->lock is held. */
int shim6_ctx_new(struct shim6_net *sn, struct shim6_spec *spec, struct netlink_ext_ack *extack)
{
	struct shim6_paths *paths;
	struct shim6_ctx *ctx;
	int err;

	err = check_free(sn, spec, extack);
	if (err)
		return err;
	if (sn->n_contexts >= READ_ONCE(max_contexts)) {
		NL_SET_ERR_MSG(extack, "max_contexts reached");
		return -ENOSPC;
	}

	ctx = ctx_alloc(sn, spec);
	if (!ctx)
		return -ENOMEM;
	err = apply_timeouts(ctx, spec, extack);
	if (err)
		goto err_ctx;
	err = xa_alloc_cyclic(&sn->contexts, &ctx->id, NULL, XA_LIMIT(1, INT_MAX), &sn->next_id,
			      GFP_KERNEL_ACCOUNT);
	if (err < 0)
		goto err_ctx;

	err = -ENOMEM;
	paths = paths_new(ctx, spec, NULL);
	if (!paths)
		goto err_id;
	/* Published before the states, which others may find and delete from now on. */
	RCU_INIT_POINTER(ctx->paths, paths);
	err = shim6_states_new(ctx, paths, NULL);
	if (err)
		goto err_paths;

	err = rhltable_insert(&sn->by_peer, &paths->peer_node, peer_params);
	if (err)
		goto err_states;
	err = rhashtable_insert_fast(&sn->by_tag, &ctx->tag_node, tag_params);
	if (err)
		goto err_peer;
	if (!ctx->fii) {
		err = shim6_node_promote(sn, ctx);
		if (err)
			goto err_tag;
	}
	xa_store(&sn->contexts, ctx->id, ctx, GFP_KERNEL_ACCOUNT);
	sn->n_contexts++;
	shim6_ctx_check_ulid(ctx);
	trace_shim6_ctx_create(ctx);
	shim6_states_announce(sn, paths);
	/* In the place of one that was lost: until now, packets went where the ULIDs lead. */
	if (paths->path[0].rewrite)
		shim6_path_update(ctx, false);
	return 0;

	/* What was in a table may have been seen: it goes as in shim6_ctx_remove(). */
err_tag:
	rhashtable_remove_fast(&sn->by_tag, &ctx->tag_node, tag_params);
err_peer:
	rhltable_remove(&sn->by_peer, &paths->peer_node, peer_params);
err_states:
	forget(sn, ctx);
	ctx->dead = true;
	xa_erase(&sn->contexts, ctx->id);
	timer_shutdown_sync(&ctx->timer);
	shim6_states_delete(paths, false);
	call_rcu(&paths->rcu, paths_free_rcu);
	shim6_ctx_put(ctx);
	return err;

err_paths:
	paths_free(paths);
err_id:
	xa_erase(&sn->contexts, ctx->id);
err_ctx:
	ctx_free(ctx);
	return err;
}

/* sn->lock is held. On error nothing has changed. */
int shim6_ctx_set(struct shim6_net *sn, struct shim6_ctx *ctx, struct shim6_spec *spec,
		  struct netlink_ext_ack *extack)
{
	struct shim6_paths *old = paths_of(sn, ctx), *paths = NULL;
	bool lost;
	int err;

	if (spec->has & (SHIM6_HAS_TAG_PEER | SHIM6_HAS_PATHS | SHIM6_HAS_LOCATORS)) {
		paths = paths_new(ctx, spec, old);
		if (!paths)
			return -ENOMEM;
		err = shim6_states_new(ctx, paths, old);
		if (err)
			goto err_paths;
		err = rhltable_insert(&sn->by_peer, &paths->peer_node, peer_params);
		if (err)
			goto err_states;
	}
	err = apply_timeouts(ctx, spec, extack);
	if (err)
		goto err_peer;
	shim6_timers_changed(ctx);
	if (!paths)
		return 0;

	rcu_assign_pointer(ctx->paths, paths);
	rhltable_remove(&sn->by_peer, &old->peer_node, peer_params);
	if (paths->out != old->out) {
		shim6_states_announce(sn, paths);
		shim6_states_delete(old, true);
	}
	/* A peer that has another tag had lost the context, and with it what came by the old tag. */
	lost = paths->tag_peer != old->tag_peer && old->path[0].rewrite;
	if (lost || !shim6_pair_equal(&paths->path[0].locators, &old->path[0].locators))
		shim6_path_update(ctx, lost || shim6_reap_state(ctx, NULL) != SHIM6_REAP_OPERATIONAL);
	call_rcu(&old->rcu, paths_free_rcu);
	return 0;

err_peer:
	if (!paths)
		return err;
	rhltable_remove(&sn->by_peer, &paths->peer_node, peer_params);
err_states:
	if (paths->out != old->out)
		shim6_states_delete(paths, false);
	call_rcu(&paths->rcu, paths_free_rcu);
	return err;
err_paths:
	paths_free(paths);
	return err;
}

/* sn->lock is held. The context goes when its states' destructors have run. */
void shim6_ctx_remove(struct shim6_net *sn, struct shim6_ctx *ctx, bool announce)
{
	struct shim6_paths *paths = paths_of(sn, ctx);

	trace_shim6_ctx_destroy(ctx);
	WRITE_ONCE(ctx->dead, true);
	rhashtable_remove_fast(&sn->by_tag, &ctx->tag_node, tag_params);
	if (!ctx->fii)
		rhashtable_remove_fast(&sn->by_ulid, &ctx->node.rhash, shim6_node_params);
	forget(sn, ctx);
	rhltable_remove(&sn->by_peer, &paths->peer_node, peer_params);
	xa_erase(&sn->contexts, ctx->id);
	sn->n_contexts--;

	timer_shutdown_sync(&ctx->timer);
	shim6_states_delete(paths, announce);
	call_rcu(&paths->rcu, paths_free_rcu);
	shim6_ctx_put(ctx);
}

/*
 * sn->lock is held. The states are freed by a work item of xfrm, one grace period later, and until then they hold the
 * module: wait for that, so that rmmod works after a flush.
 */
void shim6_ctx_flush(struct shim6_net *sn)
{
	unsigned long deadline = jiffies + FLUSH_WAIT;
	struct shim6_ctx *ctx, *tmp;
	LIST_HEAD(flushed);
	unsigned long id;

	xa_for_each(&sn->contexts, id, ctx) {
		refcount_inc(&ctx->refcnt);
		shim6_ctx_remove(sn, ctx, true);
		list_add_tail(&ctx->flushed, &flushed);
		cond_resched();
	}
	list_for_each_entry_safe(ctx, tmp, &flushed, flushed) {
		long left = deadline - jiffies;

		if (left > 0)
			wait_event_timeout(shim6_states_wait, refcount_read(&ctx->refcnt) == 1, left);
		shim6_ctx_put(ctx);
	}
}

/* Of two jiffies. */
static unsigned long later(unsigned long a, unsigned long b)
{
	return time_after(b, a) ? b : a;
}

void shim6_ctx_counters_read(const struct shim6_ctx *ctx, struct shim6_ctx_counters *sum)
{
	const struct shim6_ctx_counters *one;
	int cpu;

	memset(sum, 0, sizeof(*sum));
	sum->last_tx = ctx->created;
	sum->last_rx = ctx->created;
	for_each_possible_cpu(cpu) {
		one = per_cpu_ptr(ctx->counters, cpu);
		sum->tx_packets += READ_ONCE(one->tx_packets);
		sum->tx_bytes += READ_ONCE(one->tx_bytes);
		sum->rx_packets += READ_ONCE(one->rx_packets);
		sum->rx_bytes += READ_ONCE(one->rx_bytes);
		if (READ_ONCE(one->last_tx))
			sum->last_tx = later(sum->last_tx, READ_ONCE(one->last_tx));
		if (READ_ONCE(one->last_rx))
			sum->last_rx = later(sum->last_rx, READ_ONCE(one->last_rx));
	}
}

int shim6_ctx_net_init(struct shim6_net *sn)
{
	int err;

	mutex_init(&sn->lock);
	xa_init_flags(&sn->contexts, XA_FLAGS_ALLOC1);
	err = rhashtable_init(&sn->by_ulid, &shim6_node_params);
	if (err)
		return err;
	err = rhashtable_init(&sn->by_tag, &tag_params);
	if (err)
		goto err_ulid;
	err = rhltable_init(&sn->by_peer, &peer_params);
	if (err)
		goto err_tag;
	return 0;

err_tag:
	rhashtable_destroy(&sn->by_tag);
err_ulid:
	rhashtable_destroy(&sn->by_ulid);
	return err;
}

void shim6_ctx_net_exit(struct shim6_net *sn)
{
	struct shim6_ctx *ctx;
	unsigned long id;

	mutex_lock(&sn->lock);
	xa_for_each(&sn->contexts, id, ctx)
		shim6_ctx_remove(sn, ctx, false);
	mutex_unlock(&sn->lock);
	xa_destroy(&sn->contexts);
	rhltable_destroy(&sn->by_peer);
	rhashtable_destroy(&sn->by_tag);
	rhashtable_destroy(&sn->by_ulid);
}
