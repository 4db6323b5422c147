// SPDX-License-Identifier: MIT

package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shim6/cgad/autoconf"
)

var comparers = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

const full = `
keys: /k
socket: /s
metrics: "[::1]:9533"
state: /t
interfaces: [eth0, "wlan*"]
routers: ["fe80::1"]
key: mine
sec: 2
links: {eth1: second}
addresses: {"2001:db8:d:1::/64": third, "2001:db8:e:1::7": third}
sets:
  site:
    prefixes: ["2001:db8:a:1::/64", "2001:db8:b:1::/64"]
    key: mine
    sec: 0
  another:
    prefixes: ["2001:db8:c:1::/64"]
routing: false
table_base: 1000
existing: remove
on_stop: remove-addresses
log: {level: debug, format: json}
limits: {routers: 1, prefixes: 2, routes: 3}
`

func TestParse(t *testing.T) {
	got, err := Parse(strings.NewReader(full), "cgad.yaml")
	if err != nil {
		t.Fatal(err)
	}
	prefix := netip.MustParsePrefix
	want := &Config{
		Keys: "/k", Socket: "/s", Metrics: "[::1]:9533", State: "/t", Interfaces: []string{"eth0", "wlan*"}, Routers: []netip.Addr{netip.MustParseAddr("fe80::1")},
		Key: "mine", Sec: 2, Links: map[string]string{"eth1": "second"},
		Addresses: []Address{
			{Prefix: prefix("2001:db8:d:1::/64"), Key: "third"},
			{Prefix: prefix("2001:db8:e:1::/64"), Addr: netip.MustParseAddr("2001:db8:e:1::7"), Key: "third"},
		},
		Sets: []Set{
			{Name: "another", Prefixes: []netip.Prefix{prefix("2001:db8:c:1::/64")}, Sec: 2},
			{Name: "site", Prefixes: []netip.Prefix{prefix("2001:db8:a:1::/64"), prefix("2001:db8:b:1::/64")}, Key: "mine"},
		},
		TableBase: 1000, Existing: autoconf.RemoveExisting, OnStop: RemoveAddresses, Log: Log{"debug", "json"}, Limits: autoconf.Limits{Routers: 1, Prefixes: 2, Routes: 3},
	}
	if d := cmp.Diff(want, got, comparers); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestNothingIsTheDefault(t *testing.T) {
	for _, s := range []string{"", "# nothing\n", "---\n", "null", "{}"} {
		got, err := Parse(strings.NewReader(s), "cgad.yaml")
		if err != nil {
			t.Errorf("%q: %v", s, err)
		} else if d := cmp.Diff(Default(), got, comparers); d != "" {
			t.Errorf("%q (-want +got):\n%s", s, d)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"key: a\nkeyz: b":                   `cgad.yaml: line 2: unknown key "keyz"`,
		"log: {levle: debug}":               `unknown key "levle"`,
		"sets: {a: {prefix: x}}":            `unknown key "prefix"`,
		"key: a\nkey: b":                    "already defined",
		"key: [a]":                          "cannot unmarshal",
		"routing: maybe":                    "cannot unmarshal",
		"- a":                               "cannot unmarshal",
		"a: b: c":                           "mapping values",
		"{}\n---\n{}":                       "more than one YAML document",
		"keys: keys":                        `keys: "keys" is not an absolute path`,
		"key: ../x":                         `key: "../x" is not the name of a key`,
		"key: .x":                           "is not the name of a key",
		"sec: 3":                            "sec: 3 is out of range: 0 to 2",
		"sec: -1":                           "sec: -1 is out of range: 0 to 2",
		`interfaces: ["["]`:                 `interfaces: "[" is not an interface name or pattern`,
		`routers: ["2001:db8::1"]`:          `"2001:db8::1" is not a link-local IPv6 address`,
		`routers: ["fe80::1%eth0"]`:         "is not a link-local IPv6 address",
		`metrics: "9533"`:                   `metrics: "9533" is not an address with a port`,
		`metrics: "[::]:9533"`:              "is not a port of a loopback address",
		`metrics: "10.0.0.1:9533"`:          "is not a port of a loopback address",
		`metrics: "127.0.0.1:0"`:            "is not a port of a loopback address",
		`addresses: {"2001:db8::/48": a}`:   "addresses.2001:db8::/48: is neither an IPv6 prefix of 64 bits nor a global IPv6 address",
		`addresses: {"2001:db8::1/64": a}`:  "is neither",
		`addresses: {"fe80::1": a}`:         "is neither",
		`addresses: {"192.0.2.1": a}`:       "is neither",
		`addresses: {"2001:db8::/64": }`:    "addresses.2001:db8::/64: has no value",
		`addresses: {"2001:db8::/64": a/b}`: `"a/b" is not the name of a key`,
		`addresses: {"2001:db8::/64": a, "2001:db8::1": a}`:                           "2001:db8::/64 is there twice",
		`{addresses: {"2001:db8::/64": a}, sets: {s: {prefixes: ["2001:db8::/64"]}}}`: "2001:db8::/64 belongs to a set",
		"links: {eth0: }": "links.eth0: has no value",
		"sets: {a: {}}":   "sets.a.prefixes: has no value",
		`sets: {a: {prefixes: ["2001:db8::/48"]}}`:                                   `sets.a.prefixes: "2001:db8::/48" is not an IPv6 prefix of 64 bits`,
		`sets: {a: {prefixes: ["2001:db8::1/64"]}}`:                                  "is not an IPv6 prefix of 64 bits",
		`sets: {a: {prefixes: ["2001:db8::/64"]}, b: {prefixes: ["2001:db8::/64"]}}`: "2001:db8::/64 belongs to set a already",
		"table_base: 254":                                 "table_base: 254 is out of range",
		"table_base: 99999999999":                         "is out of range",
		"existing: delete":                                `existing: "delete" is none of [keep deprecate remove]`,
		"on_stop: x":                                      "on_stop:",
		"log: {level: loud}":                              "log.level:",
		"limits: {routers: 0}":                            "limits.routers: 0 is out of range: 1 to 64",
		"keys: " + strings.Repeat("/", 1<<20):             "larger than",
		"interfaces: [" + strings.Repeat("a,", 257) + "]": "interfaces: 257 entries, at most 256",
	} {
		if _, err := Parse(strings.NewReader(in), "cgad.yaml"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want an error with %q", in, err, want)
		}
	}
	_, err := Parse(strings.NewReader("sec: 9\nexisting: x\nkeys: y"), "cgad.yaml")
	if err == nil || len(strings.Split(err.Error(), "\n")) != 3 {
		t.Errorf("not all three errors: %v", err)
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cgad.yaml")
	if c, err := Load(file, false); err != nil || c.Keys != Default().Keys {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := Load(file, true); !os.IsNotExist(err) {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(file, []byte("key: k"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(file, true); err != nil || c.Key != "k" {
		t.Errorf("got %v, %v", c, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("sets: {a: {prefixes: [x]}}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(strings.NewReader(string(b)), "x")
		if (c == nil) != (err != nil) {
			t.Fatalf("got %v, %v", c, err)
		}
	})
}
