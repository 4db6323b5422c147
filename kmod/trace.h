/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints, in /sys/kernel/tracing/events/shim6. Addresses are 16 octets, netns is the inode of /proc/PID/ns/net. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM shim6

#if !defined(_SHIM6_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _SHIM6_TRACE_H

#include <linux/tracepoint.h>

#include "shim6.h"

#define SHIM6_DROP(name)	{ SHIM6_STAT_##name, #name }

DECLARE_EVENT_CLASS(shim6_ctx,
	TP_PROTO(const struct shim6_ctx *ctx),
	TP_ARGS(ctx),
	TP_STRUCT__entry(
		__field(unsigned int, netns)
		__field(u64, tag_local)
		__array(u8, ulid_local, 16)
		__array(u8, ulid_peer, 16)
	),
	TP_fast_assign(
		__entry->netns = ctx->sn->net->ns.inum;
		__entry->tag_local = ctx->tag_local;
		memcpy(__entry->ulid_local, &ctx->node.ulids.local, 16);
		memcpy(__entry->ulid_peer, &ctx->node.ulids.peer, 16);
	),
	TP_printk("netns=%u tag_local=%012llx ulid_local=%pI6c ulid_peer=%pI6c", __entry->netns,
		  __entry->tag_local, __entry->ulid_local, __entry->ulid_peer)
);

DEFINE_EVENT(shim6_ctx, shim6_ctx_create, TP_PROTO(const struct shim6_ctx *ctx), TP_ARGS(ctx));
DEFINE_EVENT(shim6_ctx, shim6_ctx_destroy, TP_PROTO(const struct shim6_ctx *ctx), TP_ARGS(ctx));

/* The current locator pair is another one, or the same that works again; outage: what was sent lately is lost. */
TRACE_EVENT(shim6_path_change,
	TP_PROTO(const struct shim6_ctx *ctx, const struct shim6_pair *locators, bool outage),
	TP_ARGS(ctx, locators, outage),
	TP_STRUCT__entry(
		__field(unsigned int, netns)
		__field(u64, tag_local)
		__array(u8, local, 16)
		__array(u8, peer, 16)
		__field(bool, outage)
	),
	TP_fast_assign(
		__entry->netns = ctx->sn->net->ns.inum;
		__entry->tag_local = ctx->tag_local;
		memcpy(__entry->local, &locators->local, 16);
		memcpy(__entry->peer, &locators->peer, 16);
		__entry->outage = outage;
	),
	TP_printk("netns=%u tag_local=%012llx local=%pI6c peer=%pI6c outage=%d", __entry->netns,
		  __entry->tag_local, __entry->local, __entry->peer, __entry->outage)
);

/* A heuristic asks for a context. */
TRACE_EVENT(shim6_trigger,
	TP_PROTO(const struct net *net, const struct shim6_flow *flow, const char *heuristic),
	TP_ARGS(net, flow, heuristic),
	TP_STRUCT__entry(
		__field(unsigned int, netns)
		__array(u8, ulid_local, 16)
		__array(u8, ulid_peer, 16)
		__field(u64, packets)
		__field(u64, bytes)
		__array(char, heuristic, SHIM6_HEURISTIC_NAME_MAX)
	),
	TP_fast_assign(
		__entry->netns = net->ns.inum;
		memcpy(__entry->ulid_local, &flow->ulids->local, 16);
		memcpy(__entry->ulid_peer, &flow->ulids->peer, 16);
		__entry->packets = flow->packets;
		__entry->bytes = flow->bytes;
		strscpy(__entry->heuristic, heuristic, SHIM6_HEURISTIC_NAME_MAX);
	),
	TP_printk("netns=%u ulid_local=%pI6c ulid_peer=%pI6c packets=%llu bytes=%llu heuristic=%s",
		  __entry->netns, __entry->ulid_local, __entry->ulid_peer, __entry->packets, __entry->bytes,
		  __entry->heuristic)
);

/* A packet was not sent or not received, and the counter that says why. */
TRACE_EVENT(shim6_drop,
	TP_PROTO(const struct net *net, enum shim6_stat reason),
	TP_ARGS(net, reason),
	TP_STRUCT__entry(
		__field(unsigned int, netns)
		__field(u32, reason)
	),
	TP_fast_assign(
		__entry->netns = net->ns.inum;
		__entry->reason = reason;
	),
	TP_printk("netns=%u reason=%s", __entry->netns,
		  __print_symbolic(__entry->reason, SHIM6_DROP(TX_NO_ROUTE), SHIM6_DROP(TX_TOO_BIG),
				   SHIM6_DROP(TX_NO_MEMORY), SHIM6_DROP(RX_UNKNOWN_TAG),
				   SHIM6_DROP(RX_NOT_LOCATOR), SHIM6_DROP(RX_MALFORMED),
				   SHIM6_DROP(RX_NO_MEMORY)))
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
