// SPDX-License-Identifier: MIT

package kmsg

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComplaints(t *testing.T) {
	const log = `[    0.000000] Linux version 6.12.117+deb12-amd64
[    0.100000] DEBUG_PAGEALLOC is off
[    1.000000] shim6: loading out-of-tree module taints kernel.
[    2.000000] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 x+0x1/0x2 [shim6]
[    2.100000] BUG: kernel NULL pointer dereference, address: 0000000000000008
[    2.200000] refcount_t: underflow; use-after-free.
[    2.300000] b2: hw csum failure
[   30.000000] unregister_netdevice: waiting for lo to become free. Usage count = 2
[   31.000000] kmemleak: Kernel memory leak detector initialized (mem pool available: 63000)
[   32.000000] WARNING: possible circular locking dependency detected
[   33.000000] WARNING: suspicious RCU usage
[   34.000000] BUG: KASAN: slab-use-after-free in use_after_free+0x5e/0x70 [lab_bugs]
[   35.000000] kmemleak: 8 new suspected memory leaks (see /sys/kernel/debug/kmemleak)
`
	want := []string{
		"[    2.000000] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 x+0x1/0x2 [shim6]",
		"[    2.100000] BUG: kernel NULL pointer dereference, address: 0000000000000008",
		"[    2.200000] refcount_t: underflow; use-after-free.",
		"[    2.300000] b2: hw csum failure",
		"[   30.000000] unregister_netdevice: waiting for lo to become free. Usage count = 2",
		"[   32.000000] WARNING: possible circular locking dependency detected",
		"[   33.000000] WARNING: suspicious RCU usage",
		"[   34.000000] BUG: KASAN: slab-use-after-free in use_after_free+0x5e/0x70 [lab_bugs]",
		"[   35.000000] kmemleak: 8 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
	}
	if diff := cmp.Diff(want, Complaints(log)); diff != "" {
		t.Errorf("complaints (-want +got):\n%s", diff)
	}
}

func TestAsideIsLeftOut(t *testing.T) {
	const log = `[    1.000000] WARNING: one
[    2.000000] lab: aside begins
[    2.100000] WARNING: two
[    2.200000] lab: aside ends
[    3.000000] WARNING: three
[    4.000000] lab: aside begins
[    4.100000] WARNING: four
[    4.200000] lab: aside ends
[    5.000000] lab: aside begins
[    5.100000] Kernel panic - not syncing: five
`
	want := []string{"[    1.000000] WARNING: one", "[    3.000000] WARNING: three", "[    5.100000] Kernel panic - not syncing: five"}
	if diff := cmp.Diff(want, Complaints(log)); diff != "" {
		t.Errorf("complaints (-want +got):\n%s", diff)
	}
}

func TestFormat(t *testing.T) {
	const record = "6,339,5140900,-;NET: Registered PF_PACKET\n SUBSYSTEM=net\n"
	if got, want := format(record), "[    5.140900] NET: Registered PF_PACKET\n"; got != want {
		t.Errorf("format = %q, want %q", got, want)
	}
}
