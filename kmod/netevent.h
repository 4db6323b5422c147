/* SPDX-License-Identifier: GPL-2.0-only */
/* What the module tells other parts of the kernel, by the netevent chain. */
#ifndef _SHIM6_NETEVENT_H
#define _SHIM6_NETEVENT_H

#include <linux/in6.h>

struct net;

/* Far above enum netevent_notif_type; listeners that do not know it ignore it. */
#define NETEVENT_SHIM6_PATH_UPDATE	0x53360001UL

/**
 * struct shim6_path_update - the current path of a ULID pair is another one, or works again
 * @net: network namespace
 * @ulid_local: local ULID
 * @ulid_peer: ULID of the peer
 * @outage: the path had failed, so that what was sent lately is lost
 */
struct shim6_path_update {
	struct net	*net;
	struct in6_addr	ulid_local;
	struct in6_addr	ulid_peer;
	bool		outage;
};

#endif
