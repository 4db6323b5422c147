// SPDX-License-Identifier: GPL-2.0-only
#include "shim6.h"

u64 shim6_mib_read(const struct shim6_net *sn, enum shim6_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu_ptr(sn->mib, cpu)->v[stat];
	return sum;
}
