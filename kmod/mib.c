// SPDX-License-Identifier: GPL-2.0-only
#include "shim6.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

u64 shim6_mib_read(const struct shim6_net *sn, enum shim6_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(sn->mib, cpu)->v[stat];
	return sum;
}

void shim6_trace_drop(const struct shim6_net *sn, enum shim6_stat reason)
{
	trace_shim6_drop(sn->net, reason);
}
