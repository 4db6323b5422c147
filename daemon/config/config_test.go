// SPDX-License-Identifier: MIT

package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	with := func(change func(*Config)) *Config {
		c := Default()
		change(c)
		return c
	}
	for name, tc := range map[string]struct {
		in   string
		want *Config
	}{
		"empty":         {"", Default()},
		"only comments": {"# nothing\n---\n# here\n", Default()},
		"everything": {`
keys: /srv/keys/
socket: /run/x/y.sock
socket_group: net
state: /run/x/state.json
send_timeout: 12500ms
teardown: 0s
fail_back: 90s
hints:
  link: false
  route: false
  icmp: true
heuristic: default+eui64
tcp_kick: false
gso: whole
gso_devices: {eth0: auto, "veth?": segment, "*": whole}
mark_mask: 0xff00
interfaces: [eth0, "wlan*"]
preferences:
  2001:db8:a2::/48: {priority: 10, weight: 255, cost: 3, transient: true}
  2001:db8:a2:5::/64: {}
peers:
  2001:db8:b1::/48: {protect: false}
  2001:db8:b2::5:
    trigger: at-once
    send_timeout: 3s
    teardown: 0s
    fail_back: 0s
    preferences:
      2001:db8:a2::/48: {priority: 1, weight: 2, cost: 3}
metrics: "[::1]:9556"
log:
  level: debug
  format: json
limits:
  contexts: 7
  verifying: 8
  waiting: 9
  r1_rate: 10
  verify_rate: 11
  recovery_rate: 12
  error_rate: 1000000
`, &Config{
			Keys: "/srv/keys", Socket: "/run/x/y.sock", SocketGroup: "net", State: "/run/x/state.json",
			SendTimeout: 12500 * time.Millisecond, FailBack: 90 * time.Second, Hints: Hints{ICMP: true}, Heuristic: "default+eui64", GSO: GSOWhole, MarkMask: 0xff00,
			GSODevices: []GSODevice{{"eth0", GSOAuto}, {"veth?", GSOSegment}, {"*", GSOWhole}},
			Preferences: []Preference{
				{netip.MustParsePrefix("2001:db8:a2::/48"), 10, 255, 3, true}, {Prefix: netip.MustParsePrefix("2001:db8:a2:5::/64")},
			},
			Peers: []Peer{
				{Prefix: netip.MustParsePrefix("2001:db8:b1::/48"), Trigger: TriggerHeuristic},
				{Prefix: netip.MustParsePrefix("2001:db8:b2::5/128"), Protect: true, Trigger: TriggerAtOnce, SendTimeout: new(3 * time.Second),
					Teardown: new(time.Duration(0)), FailBack: new(time.Duration(0)),
					Preferences: []Preference{{Prefix: netip.MustParsePrefix("2001:db8:a2::/48"), Priority: 1, Weight: 2, Cost: 3}}},
			},
			Metrics:    "[::1]:9556",
			Interfaces: []string{"eth0", "wlan*"}, Log: Log{"debug", "json"}, Limits: Limits{7, 8, 9, 10, 11, 12, 1000000},
		}},
		"bounds of the Send Timeout, least": {"send_timeout: 100ms", with(func(c *Config) { c.SendTimeout = 100 * time.Millisecond })},
		"bounds of the Send Timeout, most":  {"send_timeout: 1h", with(func(c *Config) { c.SendTimeout = time.Hour })},
		"no fail-back":                      {"fail_back: 0s", with(func(c *Config) { c.FailBack = 0 })},
		"part of a mapping":                 {"log: {format: json}", with(func(c *Config) { c.Log.Format = "json" })},
		"server":                            {"server: true", with((*Config).serve)},
		"server with its own timeout":       {"teardown: 5m\nserver: true", with(func(c *Config) { c.serve(); c.Teardown = 5 * time.Minute })},
		"no server":                         {"server: false", Default()},
		"no interfaces":                     {"interfaces: []", Default()},
		"decimal mask":                      {"mark_mask: 4294967295", with(func(c *Config) { c.MarkMask = 0xffffffff })},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(strings.NewReader(tc.in), "f.yaml")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	var manyDevices string
	for i := range 33 {
		manyDevices += fmt.Sprintf("eth%d: auto,", i)
	}
	for name, tc := range map[string]struct{ in, want string }{
		"unknown key":            {"socet: /x", `f.yaml:1: unknown key "socet", did you mean "socket"?`},
		"unknown nested key":     {"log:\n  levle: info", `f.yaml:2: unknown key "log.levle", did you mean "log.level"?`},
		"nothing near":           {"zzzzzzzz: 1", `f.yaml:1: unknown key "zzzzzzzz"`},
		"twice":                  {"gso: whole\n\ngso: whole", `f.yaml:3: gso: was given on line 1 already`},
		"no value":               {"interfaces:\nsocket:", "f.yaml:1: interfaces: a list such as [eth0, \"wlan*\"] is needed, not a single value\nf.yaml:2: socket: has no value"},
		"relative path":          {"keys: keys", `f.yaml:1: keys: "keys" is not an absolute path`},
		"path with zero":         {`keys: "/a\0b"`, `f.yaml:1: keys: "/a\x00b" is not a path`},
		"list for a value":       {"socket: [a]", `f.yaml:1: socket: a single value is needed, not a list`},
		"mapping for a value":    {"socket: {a: b}", `f.yaml:1: socket: a single value is needed, not a mapping`},
		"value for a mapping":    {"log: debug", `f.yaml:1: log: keys with values are needed, not a single value`},
		"no unit":                {"send_timeout: 15", `f.yaml:1: send_timeout: 15 has no unit: write 15s or 15ms`},
		"not a duration":         {"teardown: soon", `f.yaml:1: teardown: "soon" is not a duration such as 15s or 10m`},
		"duration too short":     {"send_timeout: 99ms", `f.yaml:1: send_timeout: 99ms is out of range: 100ms to 1h`},
		"duration too long":      {"send_timeout: 1h1s", `f.yaml:1: send_timeout: 1h1s is out of range: 100ms to 1h`},
		"negative duration":      {"teardown: -1s", `f.yaml:1: teardown: -1s is out of range: 10s to 8760h`},
		"teardown too short":     {"teardown: 9s", `f.yaml:1: teardown: 9s is out of range: 10s to 8760h`},
		"fail-back too short":    {"fail_back: 999ms", `f.yaml:1: fail_back: 999ms is out of range: 1s to 24h`},
		"not a bool":             {"tcp_kick: maybe", `f.yaml:1: tcp_kick: "maybe" is neither true nor false`},
		"number for a bool":      {"tcp_kick: 1", `f.yaml:1: tcp_kick: "1" is neither true nor false`},
		"not one of":             {"gso: none", `f.yaml:1: gso: "none" is none of [auto segment whole]`},
		"devices as a list":      {"gso_devices: [eth0]", `f.yaml:1: gso_devices: devices such as {eth0: whole, "veth*": segment} are needed, not a list`},
		"mode of a device":       {"gso_devices: {eth0: none}", `f.yaml:1: gso_devices: eth0: "none" is none of [auto segment whole]`},
		"device given twice":     {"gso_devices: {eth0: auto, eth0: whole}", `f.yaml:1: gso_devices: eth0 is given twice`},
		"device with brackets":   {"gso_devices: {'eth[01]': auto}", `f.yaml:1: gso_devices: "eth[01]" is not the name of a device or a pattern with * and ?`},
		"long device":            {"gso_devices: {abcdefghijklmnop: auto}", `f.yaml:1: gso_devices: "abcdefghijklmnop" is not the name of a device or a pattern with * and ?`},
		"too many devices":       {"gso_devices: {" + manyDevices + "}", `f.yaml:1: gso_devices: 33 devices, at most 32`},
		"level":                  {"log: {level: loud}", `f.yaml:1: log.level: "loud" is none of [debug info warn error]`},
		"mask too large":         {"mark_mask: 0x100000000", `f.yaml:1: mark_mask: "0x100000000" is not a mask of 32 bits such as 0xff`},
		"negative mask":          {"mark_mask: -1", `f.yaml:1: mark_mask: "-1" is not a mask of 32 bits such as 0xff`},
		"not a number":           {"limits: {contexts: many}", `f.yaml:1: limits.contexts: "many" is not a whole number`},
		"fraction":               {"limits: {contexts: 1.5}", `f.yaml:1: limits.contexts: "1.5" is not a whole number`},
		"number too small":       {"limits: {contexts: 0}", `f.yaml:1: limits.contexts: 0 is out of range: 1 to 1000000`},
		"huge number":            {"limits: {contexts: 99999999999999999999}", `f.yaml:1: limits.contexts: "99999999999999999999" is not a whole number`},
		"long heuristic":         {"heuristic: " + strings.Repeat("x", 128), `f.yaml:1: heuristic: "` + strings.Repeat("x", 128) + `" is not the name of a heuristic: 1 to 127 printable characters`},
		"heuristic with a space": {"heuristic: a b", `f.yaml:1: heuristic: "a b" is not the name of a heuristic: 1 to 127 printable characters`},
		"bad pattern":            {"interfaces: ['eth[']", `f.yaml:1: interfaces: "eth[" is not an interface name or pattern`},
		"empty pattern":          {"interfaces: ['']", `f.yaml:1: interfaces: "" is not an interface name or pattern`},
		"preferences as a list":  {"preferences: [a]", `f.yaml:1: preferences: entries such as 2001:db8:a1::/48: {priority: 10} are needed, not a list`},
		"preference of an IPv4":  {"preferences: {192.0.2.0/24: {}}", `f.yaml:1: preferences: "192.0.2.0/24" is not an IPv6 prefix such as 2001:db8:a1::/48`},
		"prefix with host bits":  {"preferences: {'2001:db8::1/64': {}}", `f.yaml:1: preferences: "2001:db8::1/64" is not an IPv6 prefix such as 2001:db8:a1::/48`},
		"prefix given twice":     {"preferences: {'2001:db8::/64': {}, '2001:db8:0::/64': {}}", `f.yaml:1: preferences: 2001:db8::/64 is given twice`},
		"priority too large":     {"preferences: {'2001:db8::/64': {priority: 256}}", `f.yaml:1: preferences.2001:db8::/64.priority: 256 is out of range: 0 to 255`},
		"unknown preference":     {"preferences: {'2001:db8::/64': {broken: true}}", `f.yaml:1: unknown key "preferences.2001:db8::/64.broken"`},
		"preference not a map":   {"preferences: {'2001:db8::/64': 10}", `f.yaml:1: preferences.2001:db8::/64: keys with values are needed, not a single value`},
		"peer is a host name":    {"peers:\n  b.example: {}", `f.yaml:2: peers: "b.example" is neither an IPv6 prefix such as 2001:db8:b1::/48 nor an address`},
		"peer is an IPv4":        {"peers: {192.0.2.1: {}}", `f.yaml:1: peers: "192.0.2.1" is neither an IPv6 prefix such as 2001:db8:b1::/48 nor an address`},
		"peer with a zone":       {"peers: {'fe80::1%eth0': {}}", `f.yaml:1: peers: "fe80::1%eth0" is neither an IPv6 prefix such as 2001:db8:b1::/48 nor an address`},
		"peer given twice":       {"peers: {'2001:db8::1': {}, '2001:db8::1/128': {}}", `f.yaml:1: peers: 2001:db8::1/128 is given twice`},
		"unknown key of a peer":  {"peers:\n  2001:db8::/32:\n    protect: true\n    send_timout: 3s", `f.yaml:4: unknown key "peers.2001:db8::/32.send_timout", did you mean "peers.2001:db8::/32.send_timeout"?`},
		"trigger of a peer":      {"peers:\n  2001:db8::/32:\n    trigger: now", `f.yaml:3: peers.2001:db8::/32.trigger: "now" is none of [heuristic at-once never]`},
		"transient for a peer":   {"peers: {'2001:db8::/32': {preferences: {'2001:db8::/64': {transient: true}}}}", `f.yaml:1: unknown key "peers.2001:db8::/32.preferences.2001:db8::/64.transient"`},
		"list as a peer":         {"peers: {? [a] : {}}", `f.yaml:1: peers: a list cannot be a key`},
		"server is no bool":      {"server: 1", `f.yaml:1: server: "1" is neither true nor false`},
		"metrics for all":        {"metrics: '[::]:9556'", `f.yaml:1: metrics: "[::]:9556" is not the loopback address with a port, such as [::1]:9556`},
		"metrics without a port": {"metrics: '::1'", `f.yaml:1: metrics: "::1" is not the loopback address with a port, such as [::1]:9556`},
		"list in a list":         {"interfaces: [[a]]", `f.yaml:1: interfaces: a single value is needed, not a list`},
		"alias":                  {"keys: &a /x\nsocket: *a", `f.yaml:2: socket: a single value is needed, not a YAML alias`},
		"merge key":              {"log: &a {level: info}\n<<: *a", `f.yaml:2: unknown key "<<"`},
		"list as a key":          {"? [a]\n: b", `f.yaml:1: a list cannot be a key`},
		"a list":                 {"- a", `f.yaml:1: keys with values are needed, not a list`},
		"a word":                 {"hello", `f.yaml:1: keys with values are needed, not a single value`},
		"two documents":          {"gso: whole\n---\ngso: whole", `f.yaml: more than one YAML document`},
		"bad second document":    {"gso: whole\n---\n[", `f.yaml: more than one YAML document`},
		"not YAML":               {"a: b\n c: d", `f.yaml:2: mapping values are not allowed in this context`},
		"binary":                 {"\x00\x01", `f.yaml: control characters are not allowed`},
		"unverified locators":    {"accept_unverified: true", `f.yaml:1: unknown key "accept_unverified"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(tc.in), "f.yaml")
			if err == nil {
				t.Fatal("no error")
			}
			if got := err.Error(); got != tc.want {
				t.Errorf("error\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestParseBoundsItsWork(t *testing.T) {
	if _, err := Parse(strings.NewReader(strings.Repeat("#", maxSize+1)), "f"); err == nil || err.Error() != "f: larger than 1048576 octets" {
		t.Errorf("large file: %v", err)
	}
	_, err := Parse(strings.NewReader(strings.Repeat("x: 1\n", 1000)), "f")
	if n := strings.Count(err.Error(), "\n") + 1; n != errorsMax {
		t.Errorf("%d errors were told, want %d", n, errorsMax)
	}
	if _, err := Parse(strings.NewReader("interfaces: ["+strings.Repeat("a,", 300)+"]"), "f"); err == nil ||
		err.Error() != "f:1: interfaces: 300 entries, at most 256" {
		t.Errorf("long list: %v", err)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "shim6.yaml")
	got, err := Load(file, false)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Default(), got); d != "" {
		t.Errorf("a missing default file is not the defaults (-want +got):\n%s", d)
	}
	if _, err := Load(file, true); !os.IsNotExist(err) {
		t.Errorf("a missing explicit file: %v", err)
	}
	if err := os.WriteFile(file, []byte("gso: whole\nx: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file, false); err == nil || err.Error() != file+`:2: unknown key "x"` {
		t.Errorf("a bad file: %v", err)
	}
	if _, err := Load(dir, false); err == nil {
		t.Error("a directory was read")
	}
}

func TestIncludes(t *testing.T) {
	for _, tc := range []struct {
		patterns []string
		link     string
		want     bool
	}{
		{nil, "eth0", true},
		{[]string{"eth0"}, "eth0", true},
		{[]string{"eth0"}, "eth01", false},
		{[]string{"wlan*", "eth[01]"}, "eth1", true},
		{[]string{"wlan*", "eth[01]"}, "eth2", false},
	} {
		if got := (&Config{Interfaces: tc.patterns}).Includes(tc.link); got != tc.want {
			t.Errorf("%v includes %s: %v, want %v", tc.patterns, tc.link, got, tc.want)
		}
	}
}

func TestStateFile(t *testing.T) {
	c := Default()
	if got, want := c.StateFile(), "/run/shim6/contexts.json"; got != want {
		t.Errorf("default %s, want %s", got, want)
	}
	c.State = "/x"
	if got := c.StateFile(); got != "/x" {
		t.Errorf("given /x, got %s", got)
	}
}

func TestWarnings(t *testing.T) {
	for d, want := range map[time.Duration][]string{
		15 * time.Second:         nil,
		10 * time.Second:         nil,
		100 * time.Second:        nil,
		9 * time.Second:          {"send_timeout: 9s is outside the 10s to 100s that RFC 5534 recommends"},
		101 * time.Second:        {"send_timeout: 1m41s is outside the 10s to 100s that RFC 5534 recommends"},
		10500 * time.Millisecond: {"send_timeout: peers are told whole seconds, 10.5s is rounded up for them"},
	} {
		c := Default()
		c.SendTimeout = d
		if diff := cmp.Diff(want, c.Warnings()); diff != "" {
			t.Errorf("%v (-want +got):\n%s", d, diff)
		}
	}
}

func TestWarningsAboutPeers(t *testing.T) {
	c, err := Parse(strings.NewReader("server: true\npeers: {'2001:db8::/32': {send_timeout: 1500ms, trigger: at-once}}"), "f")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"peers.2001:db8::/32.send_timeout: 1.5s is outside the 10s to 100s that RFC 5534 recommends",
		"peers.2001:db8::/32.send_timeout: peers are told whole seconds, 1.5s is rounded up for them",
		"peers.2001:db8::/32.trigger: at-once comes to nothing with heuristic none, which follows no flow",
	}
	if d := cmp.Diff(want, c.Warnings()); d != "" {
		t.Error(d)
	}
}

func TestKeyNames(t *testing.T) {
	got := KeyNames()
	if !slices.IsSorted(got) || !slices.Contains(got, "log.format") || !slices.Contains(got, "keys") || slices.Contains(got, "log") {
		t.Errorf("key names %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("log: {level: info}\ninterfaces: [a, b]\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Add([]byte("send_timeout: 1e9s\n---\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(strings.NewReader(string(b)), "f")
		if err == nil && (c.SendTimeout < 100*time.Millisecond || c.SendTimeout > time.Hour || c.Limits.Contexts < 1) {
			t.Errorf("accepted %+v", c)
		}
	})
}

func TestPreferenceOf(t *testing.T) {
	c := Default()
	long, short := netip.MustParsePrefix("2001:db8:a2:5::/64"), netip.MustParsePrefix("2001:db8:a2::/48")
	c.Preferences = []Preference{{Prefix: long, Priority: 1}, {Prefix: short, Priority: 2}}
	for addr, want := range map[string]uint8{"2001:db8:a2:5::1": 1, "2001:db8:a2:6::1": 2, "2001:db8:a3::1": 0} {
		if got := c.PreferenceOf(netip.MustParseAddr(addr)); got.Priority != want {
			t.Errorf("%s: %+v", addr, got)
		}
	}
}

func TestPeerOf(t *testing.T) {
	c, err := Parse(strings.NewReader("peers: {'2001:db8::/32': {trigger: at-once}, '2001:db8:1::/48': {protect: false, trigger: at-once}, '2001:db8:1::1': {}}"), "f")
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]struct {
		bits   int
		atOnce bool
	}{"2001:db8::1": {32, true}, "2001:db8:1::2": {48, false}, "2001:db8:1::1": {128, false}, "2001:db9::1": {-1, false}} {
		a := netip.MustParseAddr(addr)
		bits := -1
		if p := c.PeerOf(a); p != nil {
			bits = p.Prefix.Bits()
		}
		if bits != want.bits || c.AtOnce(a) != want.atOnce {
			t.Errorf("%s: /%d, at once %v; want %+v", addr, bits, c.AtOnce(a), want)
		}
	}
	if !c.AnyAtOnce() || Default().AnyAtOnce() {
		t.Error("wrong about whether any flow is worth a context")
	}
}

// Every key can be told from another value, so that a reload misses none.
func TestDifferenceKnowsEveryKey(t *testing.T) {
	values := Default().values()
	for _, name := range KeyNames() {
		if _, ok := values[name]; !ok {
			t.Errorf("key %s is not compared", name)
		}
		delete(values, name)
	}
	for name := range values {
		t.Errorf("%s is compared and is no key", name)
	}
	other := Default()
	other.Socket, other.Limits.R1Rate, other.Peers = "/x", 1, []Peer{{}}
	other.State = Default().StateFile()
	apply, wait := Default().Difference(other)
	if d := cmp.Diff([][]string{{"limits.r1_rate", "peers"}, {"socket"}}, [][]string{apply, wait}); d != "" {
		t.Error(d)
	}
}

func TestEntryKeys(t *testing.T) {
	if d := cmp.Diff([]string{"cost", "priority", "transient", "weight"}, EntryKeys("preferences")); d != "" {
		t.Error(d)
	}
	if n := len(EntryKeys("peers")); n != 6 {
		t.Errorf("%d keys of a peer", n)
	}
}
