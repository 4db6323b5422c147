/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Generic netlink interface of the shim6 module.
 *
 * Family "shim6", version 1, multicast group "events". Every command needs CAP_NET_ADMIN in the user namespace that
 * owns the network namespace, and acts on the network namespace of the socket. Addresses are 16 octets in network
 * order; every integer is in host order; a context tag is 47 bits (RFC 5533 section 7.1), never zero.
 *
 * Requests (request -> reply):
 *
 *   CTX_NEW     ULID_LOCAL, ULID_PEER, TAG_LOCAL, TAG_PEER, [FII], PATHS, LOCATORS_LOCAL,
 *               [SEND_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS, KEEPALIVE_INTERVAL_MS]
 *               EEXIST when TAG_LOCAL or (ULID pair, FII) is taken.
 *   CTX_SET     TAG_LOCAL, and any of TAG_PEER, PATHS, LOCATORS_LOCAL and the timeouts: what is present is replaced
 *   CTX_DEL     TAG_LOCAL
 *   CTX_GET     TAG_LOCAL -> one context; with NLM_F_DUMP -> every context, resumable
 *   CTX_FLUSH   every context of the namespace; returns when xfrm has freed their states, which hold the module
 *   REAP_SET    TAG_LOCAL, REAP_STATE, REAP_EPOCH, [SEND_TIMER, KEEPALIVE_TIMER]: atomically, see enum shim6_timer_op
 *   CFG_SET     any of ENABLED, HEURISTIC, TCP_KICK, GSO_MODE, GSO_DEVICES, MARK_MASK, RTO_HINT
 *   CFG_GET     -> the same, and HEURISTICS (names of the registered ones)
 *   STATS_GET   -> STATS: one nested u64 per enum shim6_stat
 *   CAND_GET    dump: ULID_LOCAL, ULID_PEER, BYTES, PACKETS, AGE_MS, [ASKED] of each flow that has no context
 *   HEUR_GET    -> STACK: the heuristics in use, what each has decided since it was chosen, and its parameters
 *   HEUR_SET    HEURISTIC (one in use), PARAM with NAME and VALUE; ENOENT when there is none such, ERANGE
 *   DEV_GET     dump: DEVICE, one a message, for each device of the namespace but the loopback
 *
 * A context in a reply (CTX_GET, and EV_CTX_GONE without PATHS):
 *
 *   ULID_LOCAL, ULID_PEER, FII, TAG_LOCAL, TAG_PEER
 *   PATHS
 *     PATH                                             enum shim6_path_attr; the first is the current locator pair
 *   LOCATORS_LOCAL
 *     LOCATOR                                          a payload packet must be addressed to one of these
 *   SEND_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS, KEEPALIVE_INTERVAL_MS
 *   REAP_STATE, REAP_EPOCH
 *   TX_PACKETS, TX_BYTES, RX_PACKETS, RX_BYTES          payload only, octets of the IPv6 packet with ULIDs
 *   IDLE_MS                                            since the last payload packet either way
 *
 * Events (multicast group "events"; TIME_NS is CLOCK_BOOTTIME in each):
 *
 *   EV_TRIGGER        ULID_LOCAL, ULID_PEER, BYTES, PACKETS, AGE_MS  a heuristic asks for a context
 *   EV_SEND_TIMEOUT   TAG_LOCAL, REAP_EPOCH      the Send Timer expired; the kernel state is Exploring now
 *   EV_KEEPALIVE_DUE  TAG_LOCAL, REAP_EPOCH, [KEEPALIVE_LAST]        send one Keepalive
 *   EV_PAYLOAD_SEEN   TAG_LOCAL, REAP_EPOCH      first payload received in Exploring; the kernel state is InboundOk now
 *   EV_UNKNOWN_TAG    LOCATOR_SRC, LOCATOR_DST, TAG                  payload with a tag of no context, rate-limited
 *   EV_CTX_GONE       context                    one of its xfrm states was deleted by somebody else: the pair is gone
 *   EV_TCP_KICK       ULID_LOCAL, ULID_PEER, SOCKETS                 sockets whose retransmission timer was reset
 *   EV_RTO            TAG_LOCAL                  TCP sends again, its timer having expired; at most five a second
 */
#ifndef _UAPI_LINUX_SHIM6_H
#define _UAPI_LINUX_SHIM6_H

#define SHIM6_GENL_NAME		"shim6"
#define SHIM6_GENL_VERSION	1
#define SHIM6_GENL_MCGRP_EVENTS	"events"

#define SHIM6_IPPROTO		140	/* RFC 5533 section 17 */
#define SHIM6_RTPROT		141	/* of routes that lead nowhere, for sockets of ULIDs without one */
#define SHIM6_TAG_BITS		47
#define SHIM6_MAX_PATHS		8
#define SHIM6_MAX_LOCATORS	32
#define SHIM6_HEURISTIC_NAME_MAX	16	/* with the terminating zero */
#define SHIM6_STACK_MAX		8	/* heuristics that act together */
#define SHIM6_STACK_NAME_MAX	(SHIM6_STACK_MAX * SHIM6_HEURISTIC_NAME_MAX)
#define SHIM6_PARAMS_MAX	4	/* parameters of a heuristic */
#define SHIM6_MAX_GSO_DEVICES	32

enum shim6_cmd {
	SHIM6_CMD_UNSPEC,
	SHIM6_CMD_CTX_NEW,
	SHIM6_CMD_CTX_SET,
	SHIM6_CMD_CTX_DEL,
	SHIM6_CMD_CTX_GET,
	SHIM6_CMD_CTX_FLUSH,
	SHIM6_CMD_REAP_SET,
	SHIM6_CMD_CFG_SET,
	SHIM6_CMD_CFG_GET,
	SHIM6_CMD_STATS_GET,
	SHIM6_CMD_CAND_GET,
	SHIM6_CMD_EV_TRIGGER,
	SHIM6_CMD_EV_SEND_TIMEOUT,
	SHIM6_CMD_EV_KEEPALIVE_DUE,
	SHIM6_CMD_EV_PAYLOAD_SEEN,
	SHIM6_CMD_EV_UNKNOWN_TAG,
	SHIM6_CMD_EV_CTX_GONE,
	SHIM6_CMD_EV_TCP_KICK,
	SHIM6_CMD_HEUR_GET,
	SHIM6_CMD_HEUR_SET,
	SHIM6_CMD_DEV_GET,
	SHIM6_CMD_EV_RTO,

	__SHIM6_CMD_MAX,
	SHIM6_CMD_MAX = __SHIM6_CMD_MAX - 1
};

enum shim6_attr {
	SHIM6_A_UNSPEC,
	SHIM6_A_PAD,
	SHIM6_A_ULID_LOCAL,		/* in6_addr */
	SHIM6_A_ULID_PEER,		/* in6_addr */
	SHIM6_A_FII,			/* u32 */
	SHIM6_A_TAG_LOCAL,		/* u64 */
	SHIM6_A_TAG_PEER,		/* u64 */
	SHIM6_A_PATHS,			/* nested SHIM6_A_PATH, 1 to SHIM6_MAX_PATHS */
	SHIM6_A_PATH,			/* nested enum shim6_path_attr */
	SHIM6_A_LOCATORS_LOCAL,		/* nested SHIM6_A_LOCATOR, 1 to SHIM6_MAX_LOCATORS */
	SHIM6_A_LOCATOR,		/* in6_addr */
	SHIM6_A_SEND_TIMEOUT_MS,	/* u32, 100 to 3600000 */
	SHIM6_A_KEEPALIVE_TIMEOUT_MS,	/* u32, same range */
	SHIM6_A_KEEPALIVE_INTERVAL_MS,	/* u32, 20 to the Keepalive Timeout */
	SHIM6_A_REAP_STATE,		/* u8, enum shim6_reap_state */
	SHIM6_A_REAP_EPOCH,		/* u32, chosen by user space, echoed in timer events */
	SHIM6_A_SEND_TIMER,		/* u8, enum shim6_timer_op */
	SHIM6_A_KEEPALIVE_TIMER,	/* u8, enum shim6_timer_op */
	SHIM6_A_KEEPALIVE_LAST,		/* flag */
	SHIM6_A_TX_PACKETS,		/* u64 */
	SHIM6_A_TX_BYTES,		/* u64 */
	SHIM6_A_RX_PACKETS,		/* u64 */
	SHIM6_A_RX_BYTES,		/* u64 */
	SHIM6_A_IDLE_MS,		/* u64 */
	SHIM6_A_PACKETS,		/* u64 */
	SHIM6_A_BYTES,			/* u64 */
	SHIM6_A_AGE_MS,			/* u64 */
	SHIM6_A_LOCATOR_SRC,		/* in6_addr */
	SHIM6_A_LOCATOR_DST,		/* in6_addr */
	SHIM6_A_TAG,			/* u64 */
	SHIM6_A_SOCKETS,		/* u32 */
	SHIM6_A_TIME_NS,		/* u64 */
	SHIM6_A_ENABLED,		/* u8: 1 hooks the namespace, as CTX_NEW does; 0 unhooks, EBUSY with contexts */
	SHIM6_A_HEURISTIC,		/* string: those in use joined by "+", in order of asking; "none" is built in */
	SHIM6_A_HEURISTICS,		/* nested SHIM6_A_HEURISTIC */
	SHIM6_A_TCP_KICK,		/* u8: 0 or 1, default 1 */
	SHIM6_A_GSO_MODE,		/* u8, enum shim6_gso_mode, for devices that GSO_DEVICES does not name */
	SHIM6_A_MARK_MASK,		/* u32: path = paths[(mark & mask) >> its lowest bit, mod count]; default 0 */
	SHIM6_A_STATS,			/* nested u64 by enum shim6_stat */
	SHIM6_A_STACK,			/* nested SHIM6_A_USE, in the order of asking */
	SHIM6_A_USE,			/* nested enum shim6_use_attr */
	SHIM6_A_PARAM,			/* nested enum shim6_param_attr */
	SHIM6_A_ASKED,			/* flag: an EV_TRIGGER asked for a context */
	SHIM6_A_GSO_DEVICES,		/* nested SHIM6_A_DEVICE, the first that matches counts */
	SHIM6_A_DEVICE,			/* nested enum shim6_dev_attr */
	SHIM6_A_RTO_HINT,		/* u8: 0 or 1, default 0: EV_RTO is sent */

	__SHIM6_A_MAX,
	SHIM6_A_MAX = __SHIM6_A_MAX - 1
};

enum shim6_path_attr {
	SHIM6_PATH_A_UNSPEC,
	SHIM6_PATH_A_LOCAL,		/* in6_addr */
	SHIM6_PATH_A_PEER,		/* in6_addr */
	SHIM6_PATH_A_PAD,		/* from here on only in replies */
	SHIM6_PATH_A_TX_PACKETS,	/* u64 */
	SHIM6_PATH_A_TX_BYTES,		/* u64 */
	SHIM6_PATH_A_RX_PACKETS,	/* u64 */
	SHIM6_PATH_A_RX_BYTES,		/* u64 */
	SHIM6_PATH_A_TX_IDLE_MS,	/* u64: since the last packet; absent when there was none */
	SHIM6_PATH_A_RX_IDLE_MS,	/* u64: likewise */

	__SHIM6_PATH_A_MAX,
	SHIM6_PATH_A_MAX = __SHIM6_PATH_A_MAX - 1
};

/* A network device. */
enum shim6_dev_attr {
	SHIM6_DEV_A_UNSPEC,
	SHIM6_DEV_A_NAME,		/* string; in GSO_DEVICES a pattern with * and ? */
	SHIM6_DEV_A_GSO_MODE,		/* u8, enum shim6_gso_mode; in DEV_GET SEGMENT or WHOLE, of TCP */
	SHIM6_DEV_A_IFINDEX,		/* u32, from here on only in DEV_GET */
	SHIM6_DEV_A_GSO_WHY,		/* u8, enum shim6_gso_why */

	__SHIM6_DEV_A_MAX,
	SHIM6_DEV_A_MAX = __SHIM6_DEV_A_MAX - 1
};

/* A heuristic in use. */
enum shim6_use_attr {
	SHIM6_USE_A_UNSPEC,
	SHIM6_USE_A_PAD,
	SHIM6_USE_A_NAME,		/* string */
	SHIM6_USE_A_REFUSALS,		/* u64: packets whose flow it did not want followed */
	SHIM6_USE_A_TRIGGERS,		/* u64: it was the first that wanted a context */
	SHIM6_USE_A_VETOES,		/* u64: it was the first that forbade one */
	SHIM6_USE_A_PARAM,		/* nested enum shim6_param_attr, one for each parameter */

	__SHIM6_USE_A_MAX,
	SHIM6_USE_A_MAX = __SHIM6_USE_A_MAX - 1
};

/* A parameter of a heuristic. */
enum shim6_param_attr {
	SHIM6_PARAM_A_UNSPEC,
	SHIM6_PARAM_A_PAD,
	SHIM6_PARAM_A_NAME,		/* string */
	SHIM6_PARAM_A_VALUE,		/* u64 */
	SHIM6_PARAM_A_INITIAL,		/* u64 */
	SHIM6_PARAM_A_MIN,		/* u64 */
	SHIM6_PARAM_A_MAX_VALUE,	/* u64 */

	__SHIM6_PARAM_A_MAX,
	SHIM6_PARAM_A_MAX = __SHIM6_PARAM_A_MAX - 1
};

/* RFC 5534 section 5.2 numbers */
enum shim6_reap_state {
	SHIM6_REAP_OPERATIONAL = 0,
	SHIM6_REAP_EXPLORING = 1,
	SHIM6_REAP_INBOUND_OK = 2,
};

/*
 * What payload does to the timers, by REAP state (RFC 5534 sections 6.1 to 6.4):
 *   Operational  sent: start the Send Timer unless running, stop the Keepalive Timer
 *                received: stop the Send Timer, start the Keepalive Timer unless running
 *                Keepalive Timer: EV_KEEPALIVE_DUE every Keepalive Interval counted from its start, and a last one
 *                (KEEPALIVE_LAST) when it expires
 *   Exploring    sent: nothing; received: state InboundOk, start the Send Timer, EV_PAYLOAD_SEEN
 *   InboundOk    sent: start the Send Timer unless running; received: stop it
 *   Send Timer expiry in Operational or InboundOk: state Exploring, both timers stopped, EV_SEND_TIMEOUT
 * REAP_SET cannot make it otherwise: it stops both in Exploring and the Keepalive Timer in InboundOk. From another
 * state to Operational it is a path update for TCP, like a CTX_SET with another first path.
 */
enum shim6_timer_op {
	SHIM6_TIMER_KEEP,
	SHIM6_TIMER_STOP,
	SHIM6_TIMER_START,		/* unless running */
	SHIM6_TIMER_RESTART,

	__SHIM6_TIMER_MAX,
	SHIM6_TIMER_MAX = __SHIM6_TIMER_MAX - 1
};

enum shim6_gso_mode {
	SHIM6_GSO_SEGMENT,		/* before the Payload Extension Header is inserted */
	SHIM6_GSO_WHOLE,		/* leave it to the device, and to whom it sends */
	SHIM6_GSO_AUTO,			/* default: WHOLE where the device does not segment, so that this kernel does */

	__SHIM6_GSO_MAX,
	SHIM6_GSO_MAX = __SHIM6_GSO_MAX - 1
};

/* Why a device has its mode. */
enum shim6_gso_why {
	SHIM6_GSO_WHY_NETNS,		/* GSO_MODE */
	SHIM6_GSO_WHY_DEVICE,		/* GSO_DEVICES */
	SHIM6_GSO_WHY_SOFTWARE,		/* AUTO: this kernel segments for the device */
	SHIM6_GSO_WHY_HARDWARE,		/* AUTO: the device segments, or hands on what is whole */
};

/* Per-namespace counters; the attribute type inside STATS is the enum value. */
enum shim6_stat {
	SHIM6_STAT_UNSPEC,
	SHIM6_STAT_TX_REWRITTEN,
	SHIM6_STAT_TX_NO_ROUTE,		/* dropped: no route for the current locator pair */
	SHIM6_STAT_TX_TOO_BIG,		/* answered with a local Packet Too Big */
	SHIM6_STAT_TX_NO_MEMORY,
	SHIM6_STAT_RX_REWRITTEN,
	SHIM6_STAT_RX_UNKNOWN_TAG,
	SHIM6_STAT_RX_NOT_LOCATOR,	/* known tag, destination not one of the context's local locators */
	SHIM6_STAT_RX_MALFORMED,	/* Payload Extension Header with Hdr Ext Len not zero, or truncated */
	SHIM6_STAT_RX_CONTROL,		/* control messages handed to the raw socket */
	SHIM6_STAT_RX_NO_MEMORY,
	SHIM6_STAT_CANDIDATES_FULL,	/* flow not tracked: table at its cap */
	SHIM6_STAT_TRIGGERS,
	SHIM6_STAT_SEND_TIMEOUTS,
	SHIM6_STAT_KEEPALIVES_DUE,
	SHIM6_STAT_STATES_GONE,
	SHIM6_STAT_PATH_UPDATES,
	SHIM6_STAT_TCP_KICKS,
	SHIM6_STAT_EVENTS_LOST,		/* could not be allocated or queued */
	SHIM6_STAT_TX_PATH_BEYOND,	/* sent with a mark beyond the context's paths, taken modulo their count */
	SHIM6_STAT_RX_OTHER_PATH,	/* between verified locators that are no path of ours */
	SHIM6_STAT_TX_BOUND,		/* sent with ULIDs: the socket is bound to a device not the path's */
	SHIM6_STAT_RX_ICMP,		/* ICMPv6 errors about rewritten packets */
	SHIM6_STAT_RX_ICMP_UNKNOWN,	/* that quote a tag or locators of no context, and changed nothing */
	SHIM6_STAT_RTO_HINTS,		/* EV_RTO */

	__SHIM6_STAT_MAX,
	SHIM6_STAT_MAX = __SHIM6_STAT_MAX - 1
};

#endif
