/* SPDX-License-Identifier: GPL-2.0-only */
/* The only place that looks at the kernel version: what 6.12 has is given to 6.1 under the same name. */
#ifndef _SHIM6_COMPAT_H
#define _SHIM6_COMPAT_H

#include <linux/version.h>
#include <net/xfrm.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#include <net/gso.h>
#else
#include <linux/netdevice.h>
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define shim6_state_set_dir(x, way)	((x)->dir = XFRM_SA_DIR_##way)
#else
#define shim6_state_set_dir(x, way)	do { } while (0)
#endif

#endif
