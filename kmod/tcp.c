// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP after a path update. While a path was down, TCP backed off, up to two minutes; it would not notice the new path
 * before that time is over. So its route is looked up anew, and, when what it sent was lost, its retransmission timer
 * fires at once. What waits to leave by the old path is dropped before. Who has only received sends an acknowledgment,
 * for the last ones may have been lost.
 */
#include <net/inet6_hashtables.h>
#include <net/inet_connection_sock.h>
#include <net/netevent.h>
#include <net/tcp.h>

#include "compat.h"
#include "netevent.h"
#include "shim6.h"

/* Buckets that are looked at without giving way. */
#define SLOTS_AT_ONCE	1024

struct kick {
	struct list_head list;
	struct in6_addr	ulid_local;
	struct in6_addr	ulid_peer;
	bool		outage;
	u32		sockets;
};

/*
 * An outage loses all that is in flight, but TCP tends to think otherwise: the first acknowledgment on the new path is
 * often for data that had arrived before, and by its timestamps the retransmission looks spurious (RFC 3522, RFC 5682).
 * Taking it back would leave the lost data to the next timeout, so there is nothing to take back.
 */
static bool keep_loss(struct sock *sk, u32 snd_nxt)
{
	struct tcp_sock *tp = tcp_sk(sk);
	bool kept = true;

	lock_sock(sk);
	if (inet_csk(sk)->icsk_ca_state == TCP_CA_Loss) {
		tp->frto = 0;
		tp->undo_marker = 0;
		tp->undo_retrans = -1;
	} else if (sk->sk_state == TCP_ESTABLISHED && tp->packets_out && before(tp->snd_una, snd_nxt)) {
		/* A near peer's acknowledgment was faster. */
		kept = false;
	}
	release_sock(sk);
	return kept;
}

/* A path may change without an outage: a connection that flows is not made to retransmit. */
static bool fire(struct sock *sk, bool outage, u32 *snd_nxt)
{
	struct inet_connection_sock *icsk = inet_csk(sk);
	struct tcp_sock *tp = tcp_sk(sk);
	bool fired = false;
	int event;

	lock_sock(sk);
	if ((1 << sk->sk_state) & (TCPF_CLOSE | TCPF_LISTEN | TCPF_TIME_WAIT | TCPF_NEW_SYN_RECV))
		goto out;
	__sk_dst_reset(sk);

	if (tp->packets_out) {
		event = ICSK_TIME_RETRANS;
	} else if (icsk->icsk_pending == ICSK_TIME_PROBE0) {
		event = ICSK_TIME_PROBE0;
	} else {
		/* The peer may have sent on its new path while our acknowledgments still took the old one. */
		if (outage && sk->sk_state == TCP_ESTABLISHED)
			shim6_send_ack(sk);
		goto out;
	}
	if (!outage && !icsk->icsk_retransmits && !icsk->icsk_backoff)
		goto out;

	icsk->icsk_backoff = 0;
	icsk->icsk_retransmits = 0;
	icsk->icsk_probes_out = 0;
	icsk->icsk_probes_tstamp = 0;
	icsk->icsk_rto = tp->srtt_us ? clamp(__tcp_set_rto(tp), icsk->icsk_rto_min, (u32)TCP_RTO_MAX) :
				       TCP_TIMEOUT_INIT;
	inet_csk_reset_xmit_timer(sk, event, 0, TCP_RTO_MAX);
	/* As if it had fired and found the socket owned: release_sock() does its work, before any packet can come. */
	if (!test_and_set_bit(TCP_WRITE_TIMER_DEFERRED, &sk->sk_tsq_flags))
		sock_hold(sk);
	*snd_nxt = tp->snd_nxt;
	fired = true;
out:
	release_sock(sk);
	return fired;
}

static bool kick_socket(struct sock *sk, bool outage)
{
	bool fired = false;
	u32 snd_nxt;
	int tries;

	for (tries = 0; tries < 3 && fire(sk, outage, &snd_nxt); tries++) {
		fired = true;
		if (keep_loss(sk, snd_nxt))
			break;
	}
	return fired;
}

static struct kick *find_kick(struct list_head *kicks, const struct sock *sk)
{
	struct kick *kick;

	list_for_each_entry(kick, kicks, list)
		if (ipv6_addr_equal(&sk->sk_v6_daddr, &kick->ulid_peer) &&
		    ipv6_addr_equal(&sk->sk_v6_rcv_saddr, &kick->ulid_local))
			return kick;
	return NULL;
}

/* The skip-th and later matching sockets of a bucket, with a reference each. */
static unsigned int take_sockets(struct net *net, unsigned int slot, struct list_head *kicks,
				 struct sock **taken, unsigned int max, unsigned int skip)
{
	struct inet_hashinfo *hashinfo = net->ipv4.tcp_death_row.hashinfo;
	struct inet_ehash_bucket *bucket = &hashinfo->ehash[slot];
	spinlock_t *lock = inet_ehash_lockp(hashinfo, slot);
	struct hlist_nulls_node *node;
	unsigned int n = 0;
	struct sock *sk;

	spin_lock_bh(lock);
	sk_nulls_for_each(sk, node, &bucket->chain) {
		if (sk->sk_family != AF_INET6 || !net_eq(sock_net(sk), net) ||
		    sk->sk_state == TCP_TIME_WAIT || sk->sk_state == TCP_NEW_SYN_RECV ||
		    !find_kick(kicks, sk))
			continue;
		if (skip) {
			skip--;
			continue;
		}
		if (!refcount_inc_not_zero(&sk->sk_refcnt))
			continue;
		taken[n++] = sk;
		if (n == max)
			break;
	}
	spin_unlock_bh(lock);
	return n;
}

static void kick_bucket(struct net *net, unsigned int slot, struct list_head *kicks)
{
	unsigned int i, n, skip = 0;
	struct sock *taken[16];
	struct kick *kick;

	do {
		n = take_sockets(net, slot, kicks, taken, ARRAY_SIZE(taken), skip);
		for (i = 0; i < n; i++) {
			kick = find_kick(kicks, taken[i]);
			if (kick && kick_socket(taken[i], kick->outage))
				kick->sockets++;
			sock_put(taken[i]);
		}
		skip += n;
	} while (n == ARRAY_SIZE(taken));
}

/* A segment of a connection that is being told. */
static bool is_kicked(const struct sk_buff *skb, void *kicks)
{
	const struct sock *sk = skb->sk;

	return sk && sk_fullsock(sk) && sk->sk_family == AF_INET6 && sk->sk_protocol == IPPROTO_TCP &&
	       find_kick(kicks, sk);
}

/* From first to before end. */
static void kick_buckets(struct net *net, unsigned int first, unsigned int end, struct list_head *kicks)
{
	const struct inet_ehash_bucket *ehash = net->ipv4.tcp_death_row.hashinfo->ehash;
	unsigned int slot;

	for (slot = first; slot < end; slot++) {
		if (likely(hlist_nulls_empty(&ehash[slot].chain)))
			continue;
		kick_bucket(net, slot, kicks);
		cond_resched();
	}
}

static void kick_all(struct work_struct *work)
{
	struct shim6_net *sn = container_of(work, struct shim6_net, kick);
	struct inet_hashinfo *hashinfo = sn->net->ipv4.tcp_death_row.hashinfo;
	struct kick *kick, *tmp;
	unsigned int slot, end;
	LIST_HEAD(kicks);

	spin_lock_bh(&sn->kicks_lock);
	list_splice_init(&sn->kicks, &kicks);
	spin_unlock_bh(&sn->kicks_lock);
	if (list_empty(&kicks))
		return;

	shim6_neigh_drop(sn->net, is_kicked, &kicks);
	/* Most buckets are empty. */
	for (slot = 0; slot <= hashinfo->ehash_mask; slot = end) {
		end = min(slot + SLOTS_AT_ONCE, hashinfo->ehash_mask + 1);
		kick_buckets(sn->net, slot, end, &kicks);
		cond_resched();
	}
	list_for_each_entry_safe(kick, tmp, &kicks, list) {
		shim6_count_by(sn, SHIM6_STAT_TCP_KICKS, kick->sockets);
		shim6_event_tcp_kick(sn, &kick->ulid_local, &kick->ulid_peer, kick->sockets);
		kfree(kick);
	}
}

/* Two processors may both tell at the same time: that does no harm. */
void shim6_tcp_note_rto(struct shim6_ctx *ctx, const struct sk_buff *skb)
{
	unsigned long told = READ_ONCE(ctx->rto_told);
	const struct sock *sk = skb->sk;

	if (!sk || !sk_fullsock(sk) || sk->sk_protocol != IPPROTO_TCP || !READ_ONCE(inet_csk(sk)->icsk_retransmits))
		return;
	if (told && time_before(jiffies, told + HZ / 5))
		return;
	WRITE_ONCE(ctx->rto_told, jiffies ?: 1);
	shim6_event_rto(ctx);
}

static int path_update(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct shim6_path_update *update = data;
	struct shim6_net *sn;
	struct kick *kick;

	if (event != NETEVENT_SHIM6_PATH_UPDATE)
		return NOTIFY_DONE;
	sn = shim6_net(update->net);
	if (!READ_ONCE(sn->tcp_kick))
		return NOTIFY_DONE;

	spin_lock_bh(&sn->kicks_lock);
	list_for_each_entry(kick, &sn->kicks, list)
		if (ipv6_addr_equal(&kick->ulid_local, &update->ulid_local) &&
		    ipv6_addr_equal(&kick->ulid_peer, &update->ulid_peer))
			goto queued;
	kick = kzalloc(sizeof(*kick), GFP_ATOMIC);
	if (!kick)
		goto out;
	kick->ulid_local = update->ulid_local;
	kick->ulid_peer = update->ulid_peer;
	list_add_tail(&kick->list, &sn->kicks);
queued:
	kick->outage |= update->outage;
	queue_work(system_unbound_wq, &sn->kick);
out:
	spin_unlock_bh(&sn->kicks_lock);
	return NOTIFY_OK;
}

static struct notifier_block path_update_nb = {
	.notifier_call = path_update,
};

void shim6_tcp_net_init(struct shim6_net *sn)
{
	sn->tcp_kick = true;
	spin_lock_init(&sn->kicks_lock);
	INIT_LIST_HEAD(&sn->kicks);
	INIT_WORK(&sn->kick, kick_all);
}

/* Nobody changes contexts any more. */
void shim6_tcp_net_exit(struct shim6_net *sn)
{
	struct kick *kick, *tmp;

	cancel_work_sync(&sn->kick);
	list_for_each_entry_safe(kick, tmp, &sn->kicks, list)
		kfree(kick);
}

int __init shim6_tcp_init(void)
{
	return register_netevent_notifier(&path_update_nb);
}

void shim6_tcp_exit(void)
{
	unregister_netevent_notifier(&path_update_nb);
}
