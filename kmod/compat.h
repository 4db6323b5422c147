/* SPDX-License-Identifier: GPL-2.0-only */
/* The only place that knows how kernels differ. Tried from 6.1 to 7.3. */
#ifndef _SHIM6_COMPAT_H
#define _SHIM6_COMPAT_H

#include <linux/version.h>
#include <net/neighbour.h>
#include <net/tcp.h>
#include <net/xfrm.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#include <net/gso.h>
#else
#include <linux/netdevice.h>
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "shim6 needs Linux 6.1 or newer"
#endif

/* 7.x has no IPv6 module that others would have to reach by a stub. Sparse, run for 6.12, cannot ask. */
#ifdef __CHECKER__
#define SHIM6_IPV6_STUB
#elif __has_include("net/ipv6_stubs.h")
#define SHIM6_IPV6_STUB
#endif

#ifdef SHIM6_IPV6_STUB
#include <net/ipv6_stubs.h>
#define shim6_ip6_fragment	ipv6_stub->ipv6_fragment
#else
#include <net/ip6_route.h>
#define shim6_ip6_fragment	ip6_fragment
#endif

#ifndef timer_container_of	/* 6.16 */
#define timer_container_of	from_timer
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define shim6_state_set_dir(x, way)	((x)->dir = XFRM_SA_DIR_##way)
#else
#define shim6_state_set_dir(x, way)	do { } while (0)
#endif

/* The neighbours of a hash bucket, in an RCU read section. */
#ifdef neigh_for_each_in_bucket_rcu	/* 6.13 */
static inline struct neighbour *shim6_neigh_first(const struct neigh_hash_table *nht, unsigned int slot)
{
	return hlist_entry_safe(rcu_dereference(hlist_first_rcu(&nht->hash_heads[slot])), struct neighbour, hash);
}

static inline struct neighbour *shim6_neigh_next(const struct neighbour *neigh)
{
	return hlist_entry_safe(rcu_dereference(hlist_next_rcu(&neigh->hash)), struct neighbour, hash);
}
#else
static inline struct neighbour *shim6_neigh_first(const struct neigh_hash_table *nht, unsigned int slot)
{
	return rcu_dereference(nht->hash_buckets[slot]);
}

static inline struct neighbour *shim6_neigh_next(const struct neighbour *neigh)
{
	return rcu_dereference(neigh->next);
}
#endif

/* Within a series, stable kernels differ in whether __tcp_send_ack() takes flags: its type tells. */
static inline void shim6_send_ack(struct sock *sk)
{
	typedef void (*with_flags)(struct sock *sk, u32 rcv_nxt, u16 flags);
	typedef void (*without_flags)(struct sock *sk, u32 rcv_nxt);
	void *send = __tcp_send_ack;

	if (__same_type(&__tcp_send_ack, (with_flags)NULL))
		((with_flags)send)(sk, tcp_sk(sk)->rcv_nxt, 0);
	else
		((without_flags)send)(sk, tcp_sk(sk)->rcv_nxt);
}

#endif
