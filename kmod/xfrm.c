// SPDX-License-Identifier: GPL-2.0-only
/*
 * A context's linked pair of xfrm states, out and in. They show the context in `ip xfrm state`, count its packets, and
 * hold it: somebody who deletes one ends the context. No policy leads to them: the hooks find them and call the
 * transformer's output and input, where a policy would make a bundle per packet and keep the flow from IPsec's
 * policies. xfrm does not register a transformer for protocol 140, so the states are filled by hand.
 */
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <net/xfrm.h>

#include "compat.h"
#include "shim6.h"

DECLARE_WAIT_QUEUE_HEAD(shim6_states_wait);

static void destructor(struct xfrm_state *x)
{
	shim6_ctx_put(x->data);
	wake_up_all(&shim6_states_wait);
}

static const struct xfrm_type shim6_type = {
	.owner = THIS_MODULE,
	.proto = SHIM6_IPPROTO,
	.destructor = destructor,
	.input = shim6_input,
	.output = shim6_output,
};

static const struct xfrm_mode beet = {
	.encap = XFRM_MODE_BEET,
	.family = AF_INET6,
	.flags = XFRM_MODE_FLAG_TUNNEL,
};

static void fill(struct xfrm_state *x, struct shim6_ctx *ctx, u64 tag, const struct in6_addr *saddr,
		 const struct in6_addr *daddr, const struct in6_addr *ulid_src,
		 const struct in6_addr *ulid_dst, const struct xfrm_state *old)
{
	x->id.proto = SHIM6_IPPROTO;
	x->id.spi = htonl((u32)tag);
	x->id.daddr.in6 = *daddr;
	x->props.saddr.in6 = *saddr;
	x->props.family = AF_INET6;
	x->props.mode = XFRM_MODE_BEET;
	x->props.reqid = ctx->id;
	x->props.header_len = SHIM6_HDR_LEN;
	x->sel.family = AF_INET6;
	x->sel.saddr.in6 = *ulid_src;
	x->sel.daddr.in6 = *ulid_dst;
	x->sel.prefixlen_s = 128;
	x->sel.prefixlen_d = 128;
	x->inner_mode = beet;
	x->outer_mode = beet;
	x->km.state = XFRM_STATE_VALID;
	if (old)
		x->curlft = old->curlft;

	refcount_inc(&ctx->refcnt);
	x->data = ctx;
	x->type = &shim6_type;
}

static void discard(struct xfrm_state *x)
{
	if (!x)
		return;
	x->km.state = XFRM_STATE_DEAD;
	xfrm_state_put(x);
}

/*
 * Make the states of paths, or take those of old when the current locators and the peer's tag are the same. Each is
 * known to xfrm and holds the context and the module; this function's caller has another reference on each.
 */
int shim6_states_new(struct shim6_ctx *ctx, struct shim6_paths *paths, const struct shim6_paths *old)
{
	const struct shim6_pair *ulids = &ctx->node.ulids, *locators = &paths->path[0].locators;
	struct net *net = ctx->sn->net;
	struct xfrm_state *out, *in;
	int err = -ENOMEM;

	if (old && old->tag_peer == paths->tag_peer && shim6_pair_equal(&old->path[0].locators, locators)) {
		paths->out = old->out;
		paths->in = old->in;
		return 0;
	}

	out = xfrm_state_alloc(net);
	in = xfrm_state_alloc(net);
	if (!out || !in)
		goto err;
	err = xfrm_init_replay(out, NULL) ?: xfrm_init_replay(in, NULL);
	if (err)
		goto err;
	/* Fails while the module is going, when nobody would be there for the destructor. */
	err = -ENODEV;
	if (!try_module_get(THIS_MODULE))
		goto err;
	__module_get(THIS_MODULE);

	fill(out, ctx, paths->tag_peer, &locators->local, &locators->peer, &ulids->local, &ulids->peer,
	     old ? old->out : NULL);
	shim6_state_set_dir(out, OUT);
	fill(in, ctx, ctx->tag_local, &locators->peer, &locators->local, &ulids->peer, &ulids->local,
	     old ? old->in : NULL);
	shim6_state_set_dir(in, IN);

	xfrm_state_hold(out);
	xfrm_state_hold(in);
	paths->out = out;
	paths->in = in;
	xfrm_state_insert(out);
	xfrm_state_insert(in);
	return 0;

err:
	discard(out);
	discard(in);
	return err;
}

static void notify(struct xfrm_state *x, u32 event)
{
	struct km_event c = { .event = event, .net = xs_net(x) };

	km_state_notify(x, &c);
}

static bool valid(struct xfrm_state *x)
{
	bool ret;

	/* The lock of who is deleting it: hard expiry by hand is told before it is done. */
	spin_lock_bh(&x->lock);
	ret = x->km.state == XFRM_STATE_VALID;
	spin_unlock_bh(&x->lock);
	return ret;
}

/* The states are those of a published context now. One that was deleted before was no context's yet. */
void shim6_states_announce(struct shim6_net *sn, const struct shim6_paths *paths)
{
	notify(paths->out, XFRM_MSG_NEWSA);
	notify(paths->in, XFRM_MSG_NEWSA);
	if (!valid(paths->out) || !valid(paths->in))
		queue_work(system_unbound_wq, &sn->states_gone);
}

static void delete(struct xfrm_state *x, bool announce)
{
	if (!xfrm_state_delete(x) && announce)
		notify(x, XFRM_MSG_DELSA);
	/* Packets may still count in it: xfrm frees it one grace period later. */
	xfrm_state_put(x);
}

void shim6_states_delete(const struct shim6_paths *paths, bool announce)
{
	delete(paths->out, announce);
	delete(paths->in, announce);
}

/* Somebody has deleted states. A context with half a pair ends. */
void shim6_states_gone(struct work_struct *work)
{
	struct shim6_net *sn = container_of(work, struct shim6_net, states_gone);
	struct shim6_paths *paths;
	struct shim6_ctx *ctx;
	unsigned long id;

	mutex_lock(&sn->lock);
	xa_for_each(&sn->contexts, id, ctx) {
		paths = rcu_dereference_protected(ctx->paths, lockdep_is_held(&sn->lock));
		if (valid(paths->out) && valid(paths->in))
			continue;
		shim6_count(sn, SHIM6_STAT_STATES_GONE);
		refcount_inc(&ctx->refcnt);
		shim6_event_ctx_gone(ctx);
		shim6_ctx_remove(sn, ctx, true);
		shim6_ctx_put(ctx);
		cond_resched();
	}
	shim6_hook_update(sn);
	mutex_unlock(&sn->lock);
}

/* Whether x is one that a context uses, not one that we are deleting ourselves. */
static bool in_use(const struct xfrm_state *x)
{
	const struct shim6_paths *paths;
	const struct shim6_ctx *ctx;

	if (x->type != &shim6_type)
		return false;
	ctx = x->data;
	paths = rcu_dereference(ctx->paths);
	return !READ_ONCE(ctx->dead) && (x == paths->out || x == paths->in);
}

static int km_notify(struct xfrm_state *x, const struct km_event *c)
{
	struct net *net = x ? xs_net(x) : c->net;

	switch (c->event) {
	case XFRM_MSG_FLUSHSA:
		break;
	case XFRM_MSG_EXPIRE:
		if (!c->data.hard)
			return 0;
		fallthrough;
	case XFRM_MSG_DELSA:
		if (!in_use(x))
			return 0;
		break;
	default:
		return 0;
	}
	queue_work(system_unbound_wq, &shim6_net(net)->states_gone);
	return 0;
}

/* xfrm calls these of every key manager; we negotiate nothing. */
static int km_acquire(struct xfrm_state *x, struct xfrm_tmpl *tmpl, struct xfrm_policy *policy)
{
	return -EINVAL;
}

static struct xfrm_policy *km_compile_policy(struct sock *sk, int opt, u8 *data, int len, int *dir)
{
	*dir = -EINVAL;
	return NULL;
}

static struct xfrm_mgr shim6_km = {
	.notify = km_notify,
	.acquire = km_acquire,
	.compile_policy = km_compile_policy,
};

int __init shim6_xfrm_init(void)
{
	xfrm_register_km(&shim6_km);
	return 0;
}

void shim6_xfrm_exit(void)
{
	xfrm_unregister_km(&shim6_km);
}
