// SPDX-License-Identifier: MIT

package kernel

import (
	"os"
	"path/filepath"
	"testing"

	"shim6/cgad/autoconf"
	"shim6/cgad/netlab"
)

// Row 39: autoconf is off on the interfaces that are managed and on no other, and put back at the end.
func TestSettings(t *testing.T) {
	one, two := netlab.NewLink(t, "h0", "r0"), netlab.NewLink(t, "h1", "r1")
	index := one.Host.Attrs().Index
	k := open(t)
	get := func(link, name string) string { t.Helper(); return netlab.ReadSysctl(t, link, name) }
	apply(t, k, autoconf.Manage{Link: index})
	if get("h0", "autoconf") != "0" || get("h1", "autoconf") != "1" || get("default", "autoconf") != "1" || get("all", "autoconf") != "1" {
		t.Error("not off on h0 alone")
	}
	if get("h0", "accept_ra") != "1" {
		t.Error("a host's accept_ra was changed")
	}
	netlab.Rename(t, one.Host, "lan")
	apply(t, k, autoconf.Release{Link: index}, autoconf.Release{Link: two.Host.Attrs().Index})
	if get("lan", "autoconf") != "1" {
		t.Error("not put back")
	}
	// It was off before.
	netlab.Sysctl(t, "lan", "autoconf", "0")
	apply(t, k, autoconf.Manage{Link: index}, autoconf.Release{Link: index})
	if get("lan", "autoconf") != "0" {
		t.Error("turned on though it was off before")
	}
	// Somebody has changed it since.
	netlab.Sysctl(t, "lan", "autoconf", "1")
	netlab.Sysctl(t, "lan", "forwarding", "1")
	apply(t, k, autoconf.Manage{Link: index})
	if get("lan", "autoconf") != "0" || get("lan", "accept_ra") != "2" {
		t.Errorf("a router's interface: autoconf %s, accept_ra %s", get("lan", "autoconf"), get("lan", "accept_ra"))
	}
	netlab.Sysctl(t, "lan", "accept_ra", "0")
	apply(t, k, autoconf.Release{Link: index})
	if get("lan", "autoconf") != "1" || get("lan", "accept_ra") != "0" {
		t.Errorf("afterwards: autoconf %s, accept_ra %s", get("lan", "autoconf"), get("lan", "accept_ra"))
	}
	if err := k.Apply(autoconf.Manage{Link: 1 << 20}); err == nil {
		t.Error("an interface that does not exist is managed")
	}
}

// A run that was killed is followed by one that still knows how it was.
func TestSettingsSurviveACrash(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	file := filepath.Join(t.TempDir(), "run", "settings.json")
	for range 2 {
		k, err := New(file)
		if err != nil {
			t.Fatal(err)
		}
		apply(t, k, autoconf.Manage{Link: l.Host.Attrs().Index})
	}
	k, err := New(file)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, k, autoconf.Release{Link: l.Host.Attrs().Index})
	if got := netlab.ReadSysctl(t, "h0", "autoconf"); got != "1" {
		t.Errorf("autoconf is %s", got)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(file); err != nil {
		t.Errorf("a broken file: %v", err)
	}
}
