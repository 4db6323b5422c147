// SPDX-License-Identifier: MIT

package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/ctl"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "map.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOrder(t *testing.T) {
	m, err := load(write(t, `{
		"meta": {"cost-type": {"cost-mode": "numerical", "cost-metric": "routingcost"}},
		"network-map": {
			"fibre": {"ipv6": ["2001:db8:a1::/48"]}, "radio": {"ipv6": ["2001:db8:a2::/48"], "ipv4": ["192.0.2.0/24"]},
			"all": {"ipv6": ["::/0"]}, "near": {"ipv6": ["2001:db8:b1::/48"]}
		},
		"cost-map": {"fibre": {"all": 5, "near": 3}, "radio": {"all": 1, "near": 4}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddr
	a1, a2, a3 := addr("2001:db8:a1::1"), addr("2001:db8:a2::1"), addr("2001:db8:a3::1")
	b1, b2, b3 := addr("2001:db8:b1::1"), addr("2001:db8:b2::1"), addr("2001:db8:b3::1")
	got := m.order(ctl.Context{
		LocatorsLocal: []ctl.ContextLocator{{Addr: a1}, {Addr: a2}, {Addr: a3}},
		LocatorsPeer:  []ctl.ContextLocator{{Addr: b1, Verified: true}, {Addr: b2, Verified: true}, {Addr: b3}},
	})
	want := []ctl.Pair{{Local: a2, Peer: b2}, {Local: a1, Peer: b1}, {Local: a2, Peer: b1}, {Local: a1, Peer: b2}}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestBadMaps(t *testing.T) {
	for text, want := range map[string]string{
		"": "unexpected end", `{"network-map": {"a": {"ipv6": ["x"]}}}`: "x",
		`{"cost-map": {"a": {"b": 1}}}`:       "no prefix of one of them",
		`{"cost-map": {"a": {"b": "cheap"}}}`: "cost-map",
	} {
		if _, err := load(write(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
