// SPDX-License-Identifier: GPL-2.0-only
/* When packets were seen last, and in which direction. */
#include <linux/ktime.h>

#include "note.h"

static void stamp_state(struct xfrm_state *x)
{
	time64_t now = ktime_get_real_seconds();

	if (!READ_ONCE(x->curlft.use_time))
		WRITE_ONCE(x->curlft.use_time, now);
	if (READ_ONCE(x->lastused) != now)
		WRITE_ONCE(x->lastused, now);
}

/* Payload is being sent by this path. The caller is in an RCU read section. */
void shim6_stamp_tx(struct shim6_ctx *ctx, struct shim6_paths *paths, struct shim6_path *path)
{
	unsigned long now = jiffies;

	if (shim6_reap_turns_sent(ctx))
		shim6_reap_turn_sent(ctx);
	if (READ_ONCE(path->counters.last_tx) == now)
		return;
	WRITE_ONCE(path->counters.last_tx, now);
	this_cpu_write(ctx->counters->last_tx, now);
	stamp_state(paths->out);
}

/* Payload was received. The caller is in an RCU read section. */
void shim6_stamp_rx(struct shim6_ctx *ctx, const struct shim6_paths *paths)
{
	unsigned long now = jiffies;

	if (shim6_reap_turns_received(ctx))
		shim6_reap_turn_received(ctx);
	if (this_cpu_read(ctx->counters->last_rx) == now)
		return;
	this_cpu_write(ctx->counters->last_rx, now);
	stamp_state(paths->in);
}
