// SPDX-License-Identifier: GPL-2.0-only
/*
 * - Send Timer: started by sent payload unless running, stopped by received payload; its expiry makes the state
 *   Exploring and raises EV_SEND_TIMEOUT.
 * - Keepalive Timer, only in Operational: started by received payload unless running, stopped by sent payload; raises
 *   EV_KEEPALIVE_DUE every Keepalive Interval and a last time when it expires.
 *
 * All a packet may change is one word: REAP state, which timers run, and when each was started. A packet that changes
 * nothing costs a load and a compare, one that turns the direction a compare-and-exchange. Behind it is one lazy kernel
 * timer: it is only ever pulled forward, and looks at the word when it fires. Everything that user space sees in an
 * event is done under ctx->lock, so that an event's epoch is that of the state which the event speaks of.
 */
#include <linux/jiffies.h>
#include <linux/timer.h>

#include "compat.h"
#include "shim6.h"

#define REAP_STATE		SHIM6_REAP_STATE
#define REAP_SEND		SHIM6_REAP_SEND
#define REAP_KEEPALIVE		SHIM6_REAP_KEEPALIVE
#define REAP_SEND_SINCE		GENMASK_ULL(33, 4)
#define REAP_KEEPALIVE_SINCE	GENMASK_ULL(63, 34)
#define SINCE_MASK		GENMASK(29, 0)
#define SINCE_SHIFT		20		/* of nanoseconds: about a millisecond */

/* By the clock, not by jiffies: these stand still while a virtual CPU does, and a timer would then fire early. */
static u64 since_now(void)
{
	return ktime_get_ns() >> SINCE_SHIFT & SINCE_MASK;
}

static u64 send_start(u64 word)
{
	return (word & ~REAP_SEND_SINCE) | REAP_SEND | since_now() << 4;
}

static u64 send_stop(u64 word)
{
	return word & ~(REAP_SEND | REAP_SEND_SINCE);
}

static u64 keepalive_start(u64 word)
{
	return (word & ~REAP_KEEPALIVE_SINCE) | REAP_KEEPALIVE | since_now() << 34;
}

static u64 keepalive_stop(u64 word)
{
	return word & ~(REAP_KEEPALIVE | REAP_KEEPALIVE_SINCE);
}

/*
 * The timer wheel fires from one jiffy to an eighth of the way late. Seven eighths of the way it is not late yet, and
 * what then remains is waited for more exactly.
 */
static void arm(struct shim6_ctx *ctx, unsigned long left)
{
	unsigned long expires;

	if (left > 60)
		left -= left / 8;
	expires = jiffies + left - 1;
	/* The same is the first that timer_reduce() does, with more ado. */
	if (!timer_pending(&ctx->timer) || time_before(expires, READ_ONCE(ctx->timer.expires)))
		timer_reduce(&ctx->timer, expires);
}

static void arm_send(struct shim6_ctx *ctx)
{
	arm(ctx, msecs_to_jiffies(READ_ONCE(ctx->send_timeout_ms)) + 1);
}

static void arm_keepalive(struct shim6_ctx *ctx)
{
	arm(ctx, msecs_to_jiffies(READ_ONCE(ctx->keepalive_interval_ms)) + 1);
}

/* Payload is being sent, and that changes something. */
void shim6_reap_turn_sent(struct shim6_ctx *ctx)
{
	s64 word = atomic64_read(&ctx->reap);
	u64 next;

	do {
		if ((word & REAP_STATE) == SHIM6_REAP_EXPLORING ||
		    (word & (REAP_SEND | REAP_KEEPALIVE)) == REAP_SEND)
			return;
		next = keepalive_stop(word);
		if (!(word & REAP_SEND))
			next = send_start(next);
	} while (!atomic64_try_cmpxchg(&ctx->reap, &word, next));

	if (!(word & REAP_SEND))
		arm_send(ctx);
}

static void payload_seen(struct shim6_ctx *ctx)
{
	s64 word;
	u32 epoch;

	spin_lock_bh(&ctx->lock);
	word = atomic64_read(&ctx->reap);
	if ((word & REAP_STATE) != SHIM6_REAP_EXPLORING) {
		spin_unlock_bh(&ctx->lock);
		return;
	}
	/* Packets leave the word alone in Exploring, and everybody else takes the lock. */
	atomic64_set(&ctx->reap, send_start(SHIM6_REAP_INBOUND_OK));
	epoch = ctx->epoch;
	spin_unlock_bh(&ctx->lock);

	arm_send(ctx);
	shim6_event_timer(ctx, SHIM6_CMD_EV_PAYLOAD_SEEN, epoch, false);
}

/* Payload was received, and that changes something. */
void shim6_reap_turn_received(struct shim6_ctx *ctx)
{
	s64 word = atomic64_read(&ctx->reap);
	u64 next;

	do {
		switch (word & REAP_STATE) {
		case SHIM6_REAP_OPERATIONAL:
			if ((word & (REAP_SEND | REAP_KEEPALIVE)) == REAP_KEEPALIVE)
				return;
			next = send_stop(word);
			if (!(word & REAP_KEEPALIVE))
				next = keepalive_start(next);
			break;
		case SHIM6_REAP_INBOUND_OK:
			if (!(word & REAP_SEND))
				return;
			next = send_stop(word);
			break;
		default:
			payload_seen(ctx);
			return;
		}
	} while (!atomic64_try_cmpxchg(&ctx->reap, &word, next));

	if (next & REAP_KEEPALIVE && !(word & REAP_KEEPALIVE))
		arm_keepalive(ctx);
}

/* Jiffies until a timer that was started at since has run for ms, no part of it missing; zero when it has. */
static long time_left(u32 since, u64 ms)
{
	u64 now = ktime_get_ns();
	u32 gone = ((now >> SINCE_SHIFT) - since) & SINCE_MASK;
	s64 left;

	if (gone > SINCE_MASK / 2)	/* started by a CPU whose clock is ahead */
		gone = 0;
	left = ms * NSEC_PER_MSEC + BIT_ULL(SINCE_SHIFT) - ((u64)gone << SINCE_SHIFT) -
	       (now & (BIT_ULL(SINCE_SHIFT) - 1));
	return left > 0 ? nsecs_to_jiffies(left) + 1 : 0;
}

/* Whether a Keepalive is due, and how long until the next one. ctx->lock is held. */
static bool keepalive_due(struct shim6_ctx *ctx, u32 since, long *left, bool *last)
{
	u32 timeout = READ_ONCE(ctx->keepalive_timeout_ms);
	u32 interval = READ_ONCE(ctx->keepalive_interval_ms);
	bool due = false;

	if (ctx->keepalives_since != since) {
		ctx->keepalives_since = since;
		ctx->keepalives = 0;
	}
	*left = time_left(since, timeout);
	*last = *left <= 0;
	if (*last)
		return true;

	/* One that would coincide with the last one, as far as jiffies tell, is left to that. */
	while ((u64)(ctx->keepalives + 1) * interval + jiffies_to_msecs(2) < timeout) {
		long next = time_left(since, (u64)(ctx->keepalives + 1) * interval);

		if (next > 0) {
			*left = min(*left, next);
			break;
		}
		ctx->keepalives++;
		due = true;
	}
	return due;
}

static void expired(struct timer_list *timer)
{
	struct shim6_ctx *ctx = timer_container_of(ctx, timer, timer);
	bool last = false;
	u64 next;
	s64 word;
	long left;
	u32 epoch;
	u8 cmd;

	/* Pairs with the full barrier of try_cmpxchg: who starts a timer sees this one not pending, or is seen here. */
	smp_mb();

	spin_lock(&ctx->lock);
	epoch = ctx->epoch;
	word = atomic64_read(&ctx->reap);
	do {
		long wait = 0;

		next = word;
		cmd = 0;
		left = 0;
		if (word & REAP_SEND) {
			left = time_left((word & REAP_SEND_SINCE) >> 4, READ_ONCE(ctx->send_timeout_ms));
			if (left <= 0) {
				cmd = SHIM6_CMD_EV_SEND_TIMEOUT;
				next = SHIM6_REAP_EXPLORING;
				continue;
			}
		}
		if (word & REAP_KEEPALIVE) {
			if (keepalive_due(ctx, (u64)word >> 34, &wait, &last))
				cmd = SHIM6_CMD_EV_KEEPALIVE_DUE;
			if (last)
				next = keepalive_stop(word);
			if (wait > 0)
				left = left ? min(left, wait) : wait;
		}
	} while (next != word && !atomic64_try_cmpxchg(&ctx->reap, &word, next));
	spin_unlock(&ctx->lock);

	if (left > 0)
		arm(ctx, left);
	if (cmd)
		shim6_event_timer(ctx, cmd, epoch, cmd == SHIM6_CMD_EV_KEEPALIVE_DUE && last);
}

static u64 apply(u64 word, u8 op, u64 running, u64 (*start)(u64 word), u64 (*stop)(u64 word))
{
	switch (op) {
	case SHIM6_TIMER_STOP:
		return stop(word);
	case SHIM6_TIMER_START:
		return word & running ? word : start(word);
	case SHIM6_TIMER_RESTART:
		return start(word);
	default:
		return word;
	}
}

/* No timer runs in Exploring, and the Keepalive Timer only in Operational (RFC 5534 section 6), whatever is asked. */
void shim6_reap_set(struct shim6_ctx *ctx, u8 state, u32 epoch, u8 send_op, u8 keepalive_op)
{
	s64 word;
	u64 next;

	spin_lock_bh(&ctx->lock);
	word = atomic64_read(&ctx->reap);
	do {
		next = apply(word, send_op, REAP_SEND, send_start, send_stop);
		next = apply(next, keepalive_op, REAP_KEEPALIVE, keepalive_start, keepalive_stop);
		if (state != SHIM6_REAP_OPERATIONAL)
			next = keepalive_stop(next);
		if (state == SHIM6_REAP_EXPLORING)
			next = send_stop(next);
		next = (next & ~REAP_STATE) | state;
	} while (!atomic64_try_cmpxchg(&ctx->reap, &word, next));
	WRITE_ONCE(ctx->epoch, epoch);
	if (keepalive_op == SHIM6_TIMER_RESTART)
		ctx->keepalives = 0;
	spin_unlock_bh(&ctx->lock);

	if (next & REAP_SEND)
		arm_send(ctx);
	if (next & REAP_KEEPALIVE)
		arm_keepalive(ctx);
	if (state == SHIM6_REAP_OPERATIONAL && (word & REAP_STATE) != SHIM6_REAP_OPERATIONAL)
		shim6_path_update(ctx, true);
}

u8 shim6_reap_state(const struct shim6_ctx *ctx, u32 *epoch)
{
	if (epoch)
		*epoch = READ_ONCE(ctx->epoch);
	return atomic64_read(&ctx->reap) & REAP_STATE;
}

/* The timeouts were changed: look at once what is due. */
void shim6_timers_changed(struct shim6_ctx *ctx)
{
	timer_reduce(&ctx->timer, jiffies + 1);
}

void shim6_timers_init(struct shim6_ctx *ctx)
{
	spin_lock_init(&ctx->lock);
	atomic64_set(&ctx->reap, SHIM6_REAP_OPERATIONAL);
	timer_setup(&ctx->timer, expired, 0);
}
