// SPDX-License-Identifier: GPL-2.0-only
#include <net/genetlink.h>

#include "shim6.h"

/* For commands without attributes: the kernels' own ways to say so differ, and 7.3 dies of a policy that is missing. */
static const struct nla_policy none_policy[SHIM6_A_MAX + 1] = {
	[1 ... SHIM6_A_MAX] = { .type = NLA_REJECT },
};

static const struct nla_policy tag_policy[SHIM6_A_MAX + 1] = {
	[SHIM6_A_TAG_LOCAL] = NLA_POLICY_FULL_RANGE(NLA_U64, &shim6_tag_range),
};

static const struct nla_policy reap_policy[SHIM6_A_MAX + 1] = {
	[SHIM6_A_TAG_LOCAL] = NLA_POLICY_FULL_RANGE(NLA_U64, &shim6_tag_range),
	[SHIM6_A_REAP_STATE] = NLA_POLICY_MAX(NLA_U8, SHIM6_REAP_INBOUND_OK),
	[SHIM6_A_REAP_EPOCH] = { .type = NLA_U32 },
	[SHIM6_A_SEND_TIMER] = NLA_POLICY_MAX(NLA_U8, SHIM6_TIMER_MAX),
	[SHIM6_A_KEEPALIVE_TIMER] = NLA_POLICY_MAX(NLA_U8, SHIM6_TIMER_MAX),
};

static const struct nla_policy cfg_policy[SHIM6_A_MAX + 1] = {
	[SHIM6_A_ENABLED] = NLA_POLICY_MAX(NLA_U8, 1),
	[SHIM6_A_HEURISTIC] = { .type = NLA_NUL_STRING, .len = SHIM6_STACK_NAME_MAX - 1 },
	[SHIM6_A_TCP_KICK] = NLA_POLICY_MAX(NLA_U8, 1),
	[SHIM6_A_GSO_MODE] = NLA_POLICY_MAX(NLA_U8, SHIM6_GSO_MAX),
	[SHIM6_A_GSO_DEVICES] = NLA_POLICY_NESTED(shim6_gso_policy),
	[SHIM6_A_MARK_MASK] = { .type = NLA_U32 },
	[SHIM6_A_RTO_HINT] = NLA_POLICY_MAX(NLA_U8, 1),
};

static const struct nla_policy param_policy[SHIM6_PARAM_A_MAX + 1] = {
	[SHIM6_PARAM_A_NAME] = { .type = NLA_NUL_STRING, .len = SHIM6_HEURISTIC_NAME_MAX - 1 },
	[SHIM6_PARAM_A_VALUE] = { .type = NLA_U64 },
};

static const struct nla_policy heur_policy[SHIM6_A_MAX + 1] = {
	[SHIM6_A_HEURISTIC] = { .type = NLA_NUL_STRING, .len = SHIM6_HEURISTIC_NAME_MAX - 1 },
	[SHIM6_A_PARAM] = NLA_POLICY_NESTED(param_policy),
};

/* Whether the attribute is missing, saying so. */
#define missing(info, name) ({							\
	struct genl_info *_info = (info);					\
	bool _missing = GENL_REQ_ATTR_CHECK(_info, SHIM6_A_##name);		\
	if (_missing)								\
		GENL_SET_ERR_MSG(_info, #name " is missing");			\
	_missing;								\
})

static int ctx_new(struct sk_buff *skb, struct genl_info *info)
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));
	struct shim6_spec *spec;
	int err;

	if (missing(info, ULID_LOCAL) || missing(info, ULID_PEER) || missing(info, TAG_LOCAL) ||
	    missing(info, TAG_PEER) || missing(info, PATHS) || missing(info, LOCATORS_LOCAL))
		return -EINVAL;

	spec = kzalloc(sizeof(*spec), GFP_KERNEL);
	if (!spec)
		return -ENOMEM;
	err = shim6_spec_parse(spec, info);
	if (err)
		goto out;

	mutex_lock(&sn->lock);
	err = shim6_hook(sn);
	if (!err)
		err = shim6_ctx_new(sn, spec, info->extack);
	if (!err)
		WRITE_ONCE(sn->enabled, true);
	else
		shim6_hook_update(sn);
	mutex_unlock(&sn->lock);
out:
	kfree(spec);
	return err;
}

/* The context that the request names; sn->lock is held. */
static struct shim6_ctx *find_ctx(struct shim6_net *sn, struct genl_info *info)
{
	struct shim6_ctx *ctx;

	rcu_read_lock();
	ctx = shim6_ctx_by_tag(sn, nla_get_u64(info->attrs[SHIM6_A_TAG_LOCAL]));
	rcu_read_unlock();
	if (!ctx)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[SHIM6_A_TAG_LOCAL],
				    "TAG_LOCAL is that of no context");
	return ctx;
}

static int ctx_set(struct sk_buff *skb, struct genl_info *info)
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));
	struct shim6_spec *spec;
	struct shim6_ctx *ctx;
	int err;

	if (missing(info, TAG_LOCAL))
		return -EINVAL;
	spec = kzalloc(sizeof(*spec), GFP_KERNEL);
	if (!spec)
		return -ENOMEM;
	err = shim6_spec_parse(spec, info);
	if (err)
		goto out;

	mutex_lock(&sn->lock);
	ctx = find_ctx(sn, info);
	err = ctx ? shim6_ctx_set(sn, ctx, spec, info->extack) : -ENOENT;
	mutex_unlock(&sn->lock);
out:
	kfree(spec);
	return err;
}

static int ctx_del(struct sk_buff *skb, struct genl_info *info)
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));
	struct shim6_ctx *ctx;

	if (missing(info, TAG_LOCAL))
		return -EINVAL;
	mutex_lock(&sn->lock);
	ctx = find_ctx(sn, info);
	if (ctx)
		shim6_ctx_remove(sn, ctx, true);
	shim6_hook_update(sn);
	mutex_unlock(&sn->lock);
	return ctx ? 0 : -ENOENT;
}

static int ctx_flush(struct sk_buff *skb, struct genl_info *info)
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));

	mutex_lock(&sn->lock);
	shim6_ctx_flush(sn);
	shim6_hook_update(sn);
	mutex_unlock(&sn->lock);
	return 0;
}

static int fill_path_counters(struct sk_buff *skb, const struct shim6_path_counters *path)
{
	if (nla_put_u64_64bit(skb, SHIM6_PATH_A_TX_PACKETS, READ_ONCE(path->tx_packets), SHIM6_PATH_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_PATH_A_TX_BYTES, READ_ONCE(path->tx_bytes), SHIM6_PATH_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_PATH_A_RX_PACKETS, READ_ONCE(path->rx_packets), SHIM6_PATH_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_PATH_A_RX_BYTES, READ_ONCE(path->rx_bytes), SHIM6_PATH_A_PAD))
		return -EMSGSIZE;
	if (READ_ONCE(path->tx_packets) &&
	    nla_put_u64_64bit(skb, SHIM6_PATH_A_TX_IDLE_MS,
			      jiffies64_to_msecs(jiffies - READ_ONCE(path->last_tx)), SHIM6_PATH_A_PAD))
		return -EMSGSIZE;
	if (READ_ONCE(path->rx_packets) &&
	    nla_put_u64_64bit(skb, SHIM6_PATH_A_RX_IDLE_MS,
			      jiffies64_to_msecs(jiffies - READ_ONCE(path->last_rx)), SHIM6_PATH_A_PAD))
		return -EMSGSIZE;
	return 0;
}

static int fill_paths(struct sk_buff *skb, const struct shim6_paths *paths)
{
	struct nlattr *list, *nest;
	unsigned int i;

	list = nla_nest_start(skb, SHIM6_A_PATHS);
	if (!list)
		return -EMSGSIZE;
	for (i = 0; i < paths->n_paths; i++) {
		const struct shim6_pair *locators = &paths->path[i].locators;

		nest = nla_nest_start(skb, SHIM6_A_PATH);
		if (!nest || nla_put_in6_addr(skb, SHIM6_PATH_A_LOCAL, &locators->local) ||
		    nla_put_in6_addr(skb, SHIM6_PATH_A_PEER, &locators->peer) ||
		    fill_path_counters(skb, &paths->path[i].counters))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	nla_nest_end(skb, list);
	return 0;
}

static int fill_locators(struct sk_buff *skb, const struct shim6_paths *paths)
{
	struct nlattr *list;
	unsigned int i;

	list = nla_nest_start(skb, SHIM6_A_LOCATORS_LOCAL);
	if (!list)
		return -EMSGSIZE;
	for (i = 0; i < paths->n_locators; i++)
		if (nla_put_in6_addr(skb, SHIM6_A_LOCATOR, &paths->locator[i]))
			return -EMSGSIZE;
	nla_nest_end(skb, list);
	return 0;
}

int shim6_fill_ctx(struct sk_buff *skb, const struct shim6_ctx *ctx, const struct shim6_paths *paths,
		   bool with_paths)
{
	struct shim6_ctx_counters sum;
	u8 state;
	u32 epoch;

	shim6_ctx_counters_read(ctx, &sum);
	state = shim6_reap_state(ctx, &epoch);
	if (nla_put_in6_addr(skb, SHIM6_A_ULID_LOCAL, &ctx->node.ulids.local) ||
	    nla_put_in6_addr(skb, SHIM6_A_ULID_PEER, &ctx->node.ulids.peer) ||
	    nla_put_u32(skb, SHIM6_A_FII, ctx->fii) ||
	    nla_put_u64_64bit(skb, SHIM6_A_TAG_LOCAL, ctx->tag_local, SHIM6_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_A_TAG_PEER, paths->tag_peer, SHIM6_A_PAD) ||
	    (with_paths && fill_paths(skb, paths)) ||
	    fill_locators(skb, paths) ||
	    nla_put_u32(skb, SHIM6_A_SEND_TIMEOUT_MS, ctx->send_timeout_ms) ||
	    nla_put_u32(skb, SHIM6_A_KEEPALIVE_TIMEOUT_MS, ctx->keepalive_timeout_ms) ||
	    nla_put_u32(skb, SHIM6_A_KEEPALIVE_INTERVAL_MS, ctx->keepalive_interval_ms) ||
	    nla_put_u8(skb, SHIM6_A_REAP_STATE, state) ||
	    nla_put_u32(skb, SHIM6_A_REAP_EPOCH, epoch) ||
	    nla_put_u64_64bit(skb, SHIM6_A_TX_PACKETS, sum.tx_packets, SHIM6_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_A_TX_BYTES, sum.tx_bytes, SHIM6_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_A_RX_PACKETS, sum.rx_packets, SHIM6_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_A_RX_BYTES, sum.rx_bytes, SHIM6_A_PAD) ||
	    nla_put_u64_64bit(skb, SHIM6_A_IDLE_MS,
			      jiffies64_to_msecs(min(jiffies - sum.last_tx, jiffies - sum.last_rx)), SHIM6_A_PAD))
		return -EMSGSIZE;
	return 0;
}

static int fill_ctx_locked(struct sk_buff *skb, struct shim6_net *sn, struct shim6_ctx *ctx)
{
	return shim6_fill_ctx(skb, ctx, rcu_dereference_protected(ctx->paths, lockdep_is_held(&sn->lock)), true);
}

static struct sk_buff *reply_new(struct genl_info *info, void **head)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);

	if (!skb)
		return NULL;
	*head = genlmsg_put_reply(skb, info, &shim6_genl, 0, info->genlhdr->cmd);
	return skb;
}

static int reply_send(struct genl_info *info, struct sk_buff *skb, void *head, int err)
{
	if (err) {
		nlmsg_free(skb);
		return err;
	}
	genlmsg_end(skb, head);
	return genlmsg_reply(skb, info);
}

static int ctx_get(struct sk_buff *skb, struct genl_info *info)
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));
	struct shim6_ctx *ctx;
	struct sk_buff *reply;
	void *head;
	int err;

	if (missing(info, TAG_LOCAL))
		return -EINVAL;
	reply = reply_new(info, &head);
	if (!reply)
		return -ENOMEM;
	mutex_lock(&sn->lock);
	ctx = find_ctx(sn, info);
	err = ctx ? fill_ctx_locked(reply, sn, ctx) : -ENOENT;
	mutex_unlock(&sn->lock);
	return reply_send(info, reply, head, err);
}

/* Goes on at the id in args[0]: ids grow, so that none is missed or shown twice while others come and go. */
static int ctx_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct shim6_net *sn = shim6_net(sock_net(skb->sk));
	struct shim6_ctx *ctx;
	unsigned long id;
	void *head;

	mutex_lock(&sn->lock);
	xa_for_each_start(&sn->contexts, id, ctx, cb->args[0]) {
		head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &shim6_genl,
				   NLM_F_MULTI, SHIM6_CMD_CTX_GET);
		if (!head)
			break;
		if (fill_ctx_locked(skb, sn, ctx)) {
			genlmsg_cancel(skb, head);
			break;
		}
		genlmsg_end(skb, head);
		cb->args[0] = id + 1;
	}
	mutex_unlock(&sn->lock);
	return skb->len;
}

static u8 timer_op(const struct nlattr *attr)
{
	return attr ? nla_get_u8(attr) : SHIM6_TIMER_KEEP;
}

static int reap_set(struct sk_buff *skb, struct genl_info *info)
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));
	struct nlattr **attrs = info->attrs;
	struct shim6_ctx *ctx;

	if (missing(info, TAG_LOCAL) || missing(info, REAP_STATE) || missing(info, REAP_EPOCH))
		return -EINVAL;
	mutex_lock(&sn->lock);
	ctx = find_ctx(sn, info);
	if (ctx)
		shim6_reap_set(ctx, nla_get_u8(attrs[SHIM6_A_REAP_STATE]),
			       nla_get_u32(attrs[SHIM6_A_REAP_EPOCH]),
			       timer_op(attrs[SHIM6_A_SEND_TIMER]), timer_op(attrs[SHIM6_A_KEEPALIVE_TIMER]));
	mutex_unlock(&sn->lock);
	return ctx ? 0 : -ENOENT;
}

static int set_enabled(struct shim6_net *sn, bool enabled, struct netlink_ext_ack *extack)
{
	if (!enabled && sn->n_contexts) {
		NL_SET_ERR_MSG(extack, "ENABLED cannot be 0 while there are contexts");
		return -EBUSY;
	}
	WRITE_ONCE(sn->enabled, enabled);
	if (enabled)
		return shim6_hook_update(sn);
	shim6_unhook(sn);
	synchronize_net();
	shim6_flow_flush(sn);
	return 0;
}

static int cfg_set(struct sk_buff *skb, struct genl_info *info)
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));
	struct shim6_gso_rules *rules = NULL;
	struct shim6_stack *stack = NULL;
	struct nlattr **attrs = info->attrs;
	int err = 0;

	if (attrs[SHIM6_A_HEURISTIC]) {
		stack = shim6_stack_new(sn->net, nla_data(attrs[SHIM6_A_HEURISTIC]), info->extack);
		if (IS_ERR(stack)) {
			NL_SET_BAD_ATTR(info->extack, attrs[SHIM6_A_HEURISTIC]);
			return PTR_ERR(stack);
		}
	}
	if (attrs[SHIM6_A_GSO_DEVICES]) {
		rules = shim6_gso_rules_new(attrs[SHIM6_A_GSO_DEVICES], info->extack);
		if (IS_ERR(rules)) {
			shim6_stack_free(stack);
			return PTR_ERR(rules);
		}
	}

	mutex_lock(&sn->lock);
	if (attrs[SHIM6_A_ENABLED])
		err = set_enabled(sn, nla_get_u8(attrs[SHIM6_A_ENABLED]), info->extack);
	if (err) {
		shim6_stack_free(stack);
		kfree(rules);
		goto out;
	}
	if (attrs[SHIM6_A_HEURISTIC])
		shim6_stack_select(sn, stack);
	err = shim6_hook_update(sn);
	if (attrs[SHIM6_A_TCP_KICK])
		WRITE_ONCE(sn->tcp_kick, nla_get_u8(attrs[SHIM6_A_TCP_KICK]));
	if (attrs[SHIM6_A_GSO_MODE])
		WRITE_ONCE(sn->gso_mode, nla_get_u8(attrs[SHIM6_A_GSO_MODE]));
	if (attrs[SHIM6_A_GSO_DEVICES])
		shim6_gso_rules_select(sn, rules);
	if (attrs[SHIM6_A_MARK_MASK])
		WRITE_ONCE(sn->mark_mask, nla_get_u32(attrs[SHIM6_A_MARK_MASK]));
	if (attrs[SHIM6_A_RTO_HINT])
		WRITE_ONCE(sn->rto_hint, nla_get_u8(attrs[SHIM6_A_RTO_HINT]));
out:
	mutex_unlock(&sn->lock);
	return err;
}

static int fill_cfg(struct sk_buff *skb, struct shim6_net *sn)
{
	struct nlattr *nest;

	if (nla_put_u8(skb, SHIM6_A_ENABLED, sn->enabled) ||
	    shim6_stack_fill_names(skb, sn) ||
	    nla_put_u8(skb, SHIM6_A_TCP_KICK, sn->tcp_kick) ||
	    nla_put_u8(skb, SHIM6_A_GSO_MODE, sn->gso_mode) ||
	    shim6_gso_fill_rules(skb, sn) ||
	    nla_put_u32(skb, SHIM6_A_MARK_MASK, sn->mark_mask) ||
	    nla_put_u8(skb, SHIM6_A_RTO_HINT, sn->rto_hint))
		return -EMSGSIZE;
	nest = nla_nest_start(skb, SHIM6_A_HEURISTICS);
	if (!nest || shim6_heuristic_fill(skb))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int reply_with(struct genl_info *info, int (*fill)(struct sk_buff *skb, struct shim6_net *sn))
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));
	struct sk_buff *reply;
	void *head;
	int err;

	reply = reply_new(info, &head);
	if (!reply)
		return -ENOMEM;
	mutex_lock(&sn->lock);
	err = fill(reply, sn);
	mutex_unlock(&sn->lock);
	return reply_send(info, reply, head, err);
}

static int cfg_get(struct sk_buff *skb, struct genl_info *info)
{
	return reply_with(info, fill_cfg);
}

static int heur_get(struct sk_buff *skb, struct genl_info *info)
{
	return reply_with(info, shim6_stack_fill);
}

static int heur_set(struct sk_buff *skb, struct genl_info *info)
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));
	struct nlattr *tb[SHIM6_PARAM_A_MAX + 1];
	int err;

	if (missing(info, HEURISTIC) || missing(info, PARAM))
		return -EINVAL;
	err = nla_parse_nested(tb, SHIM6_PARAM_A_MAX, info->attrs[SHIM6_A_PARAM], param_policy, info->extack);
	if (err)
		return err;
	if (!tb[SHIM6_PARAM_A_NAME] || !tb[SHIM6_PARAM_A_VALUE]) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[SHIM6_A_PARAM], "PARAM needs NAME and VALUE");
		return -EINVAL;
	}
	mutex_lock(&sn->lock);
	err = shim6_stack_set_param(sn, nla_data(info->attrs[SHIM6_A_HEURISTIC]),
				    nla_data(tb[SHIM6_PARAM_A_NAME]), nla_get_u64(tb[SHIM6_PARAM_A_VALUE]),
				    info->extack);
	mutex_unlock(&sn->lock);
	return err;
}

static int stats_get(struct sk_buff *skb, struct genl_info *info)
{
	struct shim6_net *sn = shim6_net(genl_info_net(info));
	struct sk_buff *reply;
	struct nlattr *nest;
	void *head;
	int i, err = 0;

	reply = reply_new(info, &head);
	if (!reply)
		return -ENOMEM;
	nest = nla_nest_start(reply, SHIM6_A_STATS);
	for (i = SHIM6_STAT_UNSPEC + 1; i <= SHIM6_STAT_MAX && nest && !err; i++)
		err = nla_put_u64_64bit(reply, i, shim6_mib_read(sn, i), SHIM6_STAT_UNSPEC);
	if (nest && !err)
		nla_nest_end(reply, nest);
	return reply_send(info, reply, head, nest ? err : -EMSGSIZE);
}

#define OP(_cmd, _doit, _policy) {						\
	.cmd = SHIM6_CMD_##_cmd,						\
	.flags = GENL_UNS_ADMIN_PERM,						\
	.doit = _doit,								\
	.policy = _policy,							\
	.maxattr = SHIM6_A_MAX,							\
}

static const struct genl_ops ops[] = {
	OP(CTX_NEW, ctx_new, shim6_new_policy),
	OP(CTX_SET, ctx_set, shim6_set_policy),
	OP(CTX_DEL, ctx_del, tag_policy),
	{
		.cmd = SHIM6_CMD_CTX_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = ctx_get,
		.dumpit = ctx_dump,
		.policy = tag_policy,
		.maxattr = SHIM6_A_MAX,
	},
	OP(CTX_FLUSH, ctx_flush, none_policy),
	OP(REAP_SET, reap_set, reap_policy),
	OP(CFG_SET, cfg_set, cfg_policy),
	OP(CFG_GET, cfg_get, none_policy),
	OP(STATS_GET, stats_get, none_policy),
	{
		.cmd = SHIM6_CMD_CAND_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.start = shim6_flow_dump_start,
		.dumpit = shim6_flow_dump,
		.done = shim6_flow_dump_done,
		.policy = none_policy,
		.maxattr = SHIM6_A_MAX,
	},
	OP(HEUR_GET, heur_get, none_policy),
	OP(HEUR_SET, heur_set, heur_policy),
	{
		.cmd = SHIM6_CMD_DEV_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.dumpit = shim6_gso_dump,
		.policy = none_policy,
		.maxattr = SHIM6_A_MAX,
	},
};

static const struct genl_multicast_group groups[] = {
	{ .name = SHIM6_GENL_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

struct genl_family shim6_genl __ro_after_init = {
	.name = SHIM6_GENL_NAME,
	.version = SHIM6_GENL_VERSION,
	.module = THIS_MODULE,
	.netnsok = true,
	.parallel_ops = true,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.resv_start_op = SHIM6_CMD_CTX_NEW,
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

int __init shim6_netlink_init(void)
{
	return genl_register_family(&shim6_genl);
}

void shim6_netlink_exit(void)
{
	genl_unregister_family(&shim6_genl);
}
