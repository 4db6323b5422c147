// SPDX-License-Identifier: GPL-2.0-only
#include <net/genetlink.h>
#include <net/netevent.h>

#include "netevent.h"
#include "shim6.h"
#include "trace.h"

#define EVENT_SIZE	256	/* holds any event but EV_CTX_GONE */

static struct sk_buff *event_new(struct shim6_net *sn, u8 cmd, size_t size, void **head)
{
	struct sk_buff *skb = genlmsg_new(size, GFP_ATOMIC);

	if (!skb)
		goto lost;
	*head = genlmsg_put(skb, 0, 0, &shim6_genl, 0, cmd);
	if (!*head)
		goto free;
	if (nla_put_u64_64bit(skb, SHIM6_A_TIME_NS, ktime_get_boottime_ns(), SHIM6_A_PAD))
		goto free;
	return skb;

free:
	nlmsg_free(skb);
lost:
	shim6_count(sn, SHIM6_STAT_EVENTS_LOST);
	return NULL;
}

/* Nobody listening is no loss: contexts outlive the daemon, which looks at them when it comes back. */
static void event_send(struct shim6_net *sn, struct sk_buff *skb, void *head, bool ok)
{
	int err;

	if (!ok) {
		nlmsg_free(skb);
		shim6_count(sn, SHIM6_STAT_EVENTS_LOST);
		return;
	}
	genlmsg_end(skb, head);
	err = genlmsg_multicast_netns(&shim6_genl, sn->net, skb, 0, 0, GFP_ATOMIC);
	if (err && err != -ESRCH)
		shim6_count(sn, SHIM6_STAT_EVENTS_LOST);
}

void shim6_event_trigger(struct shim6_net *sn, const struct shim6_flow *flow)
{
	struct sk_buff *skb;
	void *head;
	bool ok;

	skb = event_new(sn, SHIM6_CMD_EV_TRIGGER, EVENT_SIZE, &head);
	if (!skb)
		return;
	ok = !nla_put_in6_addr(skb, SHIM6_A_ULID_LOCAL, &flow->ulids->local) &&
	     !nla_put_in6_addr(skb, SHIM6_A_ULID_PEER, &flow->ulids->peer) &&
	     !nla_put_u64_64bit(skb, SHIM6_A_BYTES, READ_ONCE(flow->bytes), SHIM6_A_PAD) &&
	     !nla_put_u64_64bit(skb, SHIM6_A_PACKETS, READ_ONCE(flow->packets), SHIM6_A_PAD) &&
	     !nla_put_u64_64bit(skb, SHIM6_A_AGE_MS, shim6_flow_age_ms(flow), SHIM6_A_PAD);
	event_send(sn, skb, head, ok);
	shim6_count(sn, SHIM6_STAT_TRIGGERS);
}

void shim6_event_timer(struct shim6_ctx *ctx, u8 cmd, u32 epoch, bool last)
{
	struct shim6_net *sn = ctx->sn;
	struct sk_buff *skb;
	void *head;
	bool ok;

	if (cmd == SHIM6_CMD_EV_SEND_TIMEOUT)
		shim6_count(sn, SHIM6_STAT_SEND_TIMEOUTS);
	else if (cmd == SHIM6_CMD_EV_KEEPALIVE_DUE)
		shim6_count(sn, SHIM6_STAT_KEEPALIVES_DUE);

	skb = event_new(sn, cmd, EVENT_SIZE, &head);
	if (!skb)
		return;
	ok = !nla_put_u64_64bit(skb, SHIM6_A_TAG_LOCAL, ctx->tag_local, SHIM6_A_PAD) &&
	     !nla_put_u32(skb, SHIM6_A_REAP_EPOCH, epoch) &&
	     (!last || !nla_put_flag(skb, SHIM6_A_KEEPALIVE_LAST));
	event_send(sn, skb, head, ok);
}

void shim6_event_unknown_tag(struct shim6_net *sn, const struct ipv6hdr *hdr, u64 tag)
{
	struct sk_buff *skb;
	void *head;
	bool ok;

	if (!__ratelimit(&sn->unknown_tag_limit))
		return;
	skb = event_new(sn, SHIM6_CMD_EV_UNKNOWN_TAG, EVENT_SIZE, &head);
	if (!skb)
		return;
	ok = !nla_put_in6_addr(skb, SHIM6_A_LOCATOR_SRC, &hdr->saddr) &&
	     !nla_put_in6_addr(skb, SHIM6_A_LOCATOR_DST, &hdr->daddr) &&
	     !nla_put_u64_64bit(skb, SHIM6_A_TAG, tag, SHIM6_A_PAD);
	event_send(sn, skb, head, ok);
}

void shim6_event_ctx_gone(const struct shim6_ctx *ctx)
{
	struct shim6_net *sn = ctx->sn;
	struct sk_buff *skb;
	void *head;

	skb = event_new(sn, SHIM6_CMD_EV_CTX_GONE, NLMSG_DEFAULT_SIZE, &head);
	if (!skb)
		return;
	/* The caller holds sn->lock: paths cannot change. */
	event_send(sn, skb, head, !shim6_fill_ctx(skb, ctx, rcu_dereference_protected(ctx->paths, 1), false));
}

void shim6_event_tcp_kick(struct shim6_net *sn, const struct in6_addr *ulid_local,
			  const struct in6_addr *ulid_peer, u32 sockets)
{
	struct sk_buff *skb;
	void *head;
	bool ok;

	skb = event_new(sn, SHIM6_CMD_EV_TCP_KICK, EVENT_SIZE, &head);
	if (!skb)
		return;
	ok = !nla_put_in6_addr(skb, SHIM6_A_ULID_LOCAL, ulid_local) &&
	     !nla_put_in6_addr(skb, SHIM6_A_ULID_PEER, ulid_peer) &&
	     !nla_put_u32(skb, SHIM6_A_SOCKETS, sockets);
	event_send(sn, skb, head, ok);
}

void shim6_event_rto(struct shim6_ctx *ctx)
{
	struct shim6_net *sn = ctx->sn;
	struct sk_buff *skb;
	void *head;
	bool ok;

	shim6_count(sn, SHIM6_STAT_RTO_HINTS);
	skb = event_new(sn, SHIM6_CMD_EV_RTO, EVENT_SIZE, &head);
	if (!skb)
		return;
	ok = !nla_put_u64_64bit(skb, SHIM6_A_TAG_LOCAL, ctx->tag_local, SHIM6_A_PAD);
	event_send(sn, skb, head, ok);
}

/* Tell the kernel's transports that the current path is another one, or works again. */
void shim6_path_update(struct shim6_ctx *ctx, bool outage)
{
	struct shim6_path_update update = {
		.net = ctx->sn->net,
		.ulid_local = ctx->node.ulids.local,
		.ulid_peer = ctx->node.ulids.peer,
		.outage = outage,
	};

	rcu_read_lock();
	trace_shim6_path_change(ctx, &rcu_dereference(ctx->paths)->path[0].locators, outage);
	rcu_read_unlock();
	shim6_count(ctx->sn, SHIM6_STAT_PATH_UPDATES);
	call_netevent_notifiers(NETEVENT_SHIM6_PATH_UPDATE, &update);
}
