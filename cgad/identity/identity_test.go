// SPDX-License-Identifier: MIT

package identity

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shim6/cgad/autoconf"
	"shim6/cgad/config"
	"shim6/internal/cga"
)

func list(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		// Parameters are told to every peer; keys are nobody else's.
		want := os.FileMode(0o644)
		if strings.HasSuffix(f.Name(), ".pem") {
			want = 0o600
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", f.Name(), info.Mode().Perm())
		}
		names = append(names, f.Name())
	}
	return strings.Join(names, " ")
}

func addKey(t *testing.T, dir, name string) {
	t.Helper()
	key, err := cga.NewKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	if err := cga.WriteKey(filepath.Join(dir, name+".pem"), key); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *config.Config) autoconf.Config {
	t.Helper()
	d, err := Open(c.Keys)
	if err != nil {
		t.Fatal(err)
	}
	return d.Config(c)
}

func named(t *testing.T, a autoconf.Config, name string) autoconf.Identity {
	t.Helper()
	i := slices.IndexFunc(a.Identities, func(id autoconf.Identity) bool { return id.Name == name })
	if i < 0 {
		t.Fatalf("there is no identity %s in %+v", name, a.Identities)
	}
	return a.Identities[i]
}

// A key of 2048 bits with parameters for Sec 1, made once and never overwritten.
func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "shim6", "keys")
	made, err := Init(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(dir, "default.pem"), filepath.Join(dir, "default.pds")}; !slices.Equal(made, want) {
		t.Errorf("made %v", made)
	}
	if got := list(t, dir); got != "default.pds default.pem" {
		t.Errorf("files are %s", got)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", st.Mode(), err)
	}
	key, err := cga.LoadPrivateKey(made[0])
	if err != nil || key.N.BitLen() != 2048 {
		t.Errorf("key: %v", err)
	}
	c := config.Default()
	c.Keys = dir
	a := read(t, c)
	id := named(t, a, "default")
	if a.Default != "default" || id.Params == nil || id.Params.Strength() < 1 {
		t.Fatalf("got %+v", a)
	}
	before := id.Params.Marshal()
	if made, err := Init(t.Context(), dir); err != nil || len(made) != 0 {
		t.Errorf("the second time: made %v, %v", made, err)
	}
	if !slices.Equal(named(t, read(t, c), "default").Params.Marshal(), before) {
		t.Error("the parameters are others")
	}
}

func TestInitWithKeyOfTheUser(t *testing.T) {
	dir := t.TempDir()
	addKey(t, dir, "zeta")
	addKey(t, dir, "mine")
	made, err := Init(t.Context(), dir)
	if err != nil || len(made) != 1 || filepath.Base(made[0]) != "mine.pds" {
		t.Errorf("made %v, %v", made, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Init(t.Context(), dir); err == nil {
		t.Error("a broken key is silent")
	}
}

// Everything works with no key at all: the first identity that is asked for is made.
func TestGenerateFromNothing(t *testing.T) {
	c := config.Default()
	c.Keys = filepath.Join(t.TempDir(), "keys")
	if a := read(t, c); a.Default != DefaultName || named(t, a, DefaultName).Params != nil {
		t.Fatalf("got %+v", a)
	}
	p, err := Generate(t.Context(), c, DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	if got := named(t, read(t, c), DefaultName).Params; got == nil || !slices.Equal(got.Marshal(), p.Marshal()) {
		t.Error("not what was written")
	}
	// Another Sec needs other parameters; the old ones stay for the addresses that they prove.
	again, err := Generate(t.Context(), c, DefaultName)
	if err != nil || !slices.Equal(again.Marshal(), p.Marshal()) {
		t.Errorf("made again: %v", err)
	}
	if got := list(t, c.Keys); got != "default.pds default.pem" {
		t.Errorf("files are %s", got)
	}
}

func TestKeysByInterface(t *testing.T) {
	c := config.Default()
	c.Keys, c.Sec = t.TempDir(), 0
	c.Links = map[string]string{"eth1": "second", "eth2": "second"}
	addKey(t, c.Keys, "default")
	addKey(t, c.Keys, "second")
	a := read(t, c)
	if len(a.Identities) != 2 || a.Links["eth1"] != "second" {
		t.Fatalf("got %+v", a)
	}
	p, err := Generate(t.Context(), c, "second")
	if err != nil {
		t.Fatal(err)
	}
	if got := named(t, read(t, c), "second").Params; got == nil || !slices.Equal(got.Marshal(), p.Marshal()) {
		t.Error("second has other parameters")
	}
	if named(t, read(t, c), "default").Params != nil {
		t.Error("default has parameters of another key")
	}
	if _, err := Generate(t.Context(), c, "third"); err == nil || !strings.Contains(err.Error(), "third.pem") {
		t.Errorf("a key that is not there: %v", err)
	}
	// Too weak parameters are not used, and not overwritten.
	c.Sec = p.Strength() + 1
	if named(t, read(t, c), "second").Params != nil {
		t.Error("parameters for one Sec are used for a higher one")
	}
	if _, err := Generate(t.Context(), c, "second"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, c.Keys); got != "default.pem second-2.pds second.pds second.pem" {
		t.Errorf("files are %s", got)
	}
}

func TestKeysByPrefix(t *testing.T) {
	c := config.Default()
	c.Keys, c.Sec = t.TempDir(), 0
	prefix := netip.MustParsePrefix("2001:db8:a:1::/64")
	c.Addresses = []config.Address{{Prefix: prefix, Key: "second"}}
	addKey(t, c.Keys, "default")
	addKey(t, c.Keys, "second")
	if a := read(t, c); len(a.Identities) != 2 || a.Prefixes[prefix] != "second" || a.Default != "default" {
		t.Errorf("got %+v", a)
	}
}

// A prefix that belongs to no set gets a CGA of the key that makes the sets CGA-compatible, unless a key is named.
func TestDefaultIsTheKeyOfTheSets(t *testing.T) {
	c := config.Default()
	c.Keys = t.TempDir()
	for _, name := range []string{"default", "site", "other"} {
		addKey(t, c.Keys, name)
	}
	for _, tt := range []struct{ key, sets, want string }{
		{"", "site", "site"}, {"", "site site", "site"}, {"", "site other", "default"}, {"other", "site", "other"}, {"", "", "default"},
	} {
		c.Key, c.Sets = tt.key, []config.Set{{Name: "pure"}}
		for _, key := range strings.Fields(tt.sets) {
			c.Sets = append(c.Sets, config.Set{Name: "s", Key: key})
		}
		if got := read(t, c).Default; got != tt.want {
			t.Errorf("key %q, sets with %q: got %s, want %s", tt.key, tt.sets, got, tt.want)
		}
	}
}

// RFC 5535 section 6: with a key the set is CGA-compatible; without one a nonce of 384 bits takes its place, in the form
// of an RSA key.
func TestSets(t *testing.T) {
	c := config.Default()
	c.Keys = t.TempDir()
	addKey(t, c.Keys, "default")
	prefixes := []netip.Prefix{netip.MustParsePrefix("2001:db8:a:1::/64"), netip.MustParsePrefix("2001:db8:b:1::/64")}
	for _, key := range []string{"", "default"} {
		c.Sets = []config.Set{{Name: "site", Prefixes: prefixes, Key: key, Sec: 1}}
		if p := named(t, read(t, c), "set/site").Params; p != nil {
			t.Fatalf("key %q: parameters before they are made", key)
		}
		p, err := Generate(t.Context(), c, "set/site")
		if err != nil {
			t.Fatal(err)
		}
		got := named(t, read(t, c), "set/site")
		if got.Params == nil || !slices.Equal(got.Params.Marshal(), p.Marshal()) || !slices.Equal(got.Set, prefixes) {
			t.Errorf("key %q: got %+v", key, got)
		}
		mp, err := p.MultiPrefix()
		if err != nil || mp.P != (key != "") || p.Strength() < 1 {
			t.Errorf("key %q: %+v, %v", key, mp, err)
		}
		if key == "" && len(p.PublicKey) != 78 {
			t.Errorf("the nonce has %d octets as a key", len(p.PublicKey))
		}
		if again, err := Generate(t.Context(), c, "set/site"); err != nil || !slices.Equal(again.Marshal(), p.Marshal()) {
			t.Errorf("made again: %v", err)
		}
	}
	// The order of the prefixes is hashed.
	slices.Reverse(c.Sets[0].Prefixes)
	if named(t, read(t, c), "set/site").Params != nil {
		t.Error("parameters of another order are used")
	}
	if got := list(t, c.Keys); got != "default.pem site-2.pds site.pds" {
		t.Errorf("files are %s", got)
	}
	if _, err := Generate(t.Context(), c, "set/other"); err == nil {
		t.Error("a set that is not configured was made")
	}
}

func TestGenerateCanBeStopped(t *testing.T) {
	c := config.Default()
	c.Keys, c.Sec = t.TempDir(), 2
	addKey(t, c.Keys, "default")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Generate(ctx, c, "default"); err == nil {
		t.Error("went on")
	}
	if got := list(t, c.Keys); got != "default.pem" {
		t.Errorf("files are %s", got)
	}
}

func TestCheck(t *testing.T) {
	c := config.Default()
	c.Keys = t.TempDir()
	check := func() error {
		d, err := Open(c.Keys)
		if err != nil {
			t.Fatal(err)
		}
		return d.Check(c)
	}
	if err := check(); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
	addKey(t, c.Keys, "mine")
	c.Key, c.Links, c.Sets = "a", map[string]string{"eth0": "b"}, []config.Set{{Name: "s", Key: "c"}, {Name: "t", Key: "mine"}, {Name: "u"}}
	err := check()
	for _, want := range []string{"key: there is no usable key", "links.eth0:", "sets.s.key:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v", err)
	}

	// A key for an address must give that address.
	c = &config.Config{Keys: c.Keys, Sec: 0}
	p, err := Generate(t.Context(), c, "mine")
	if err != nil {
		t.Fatal(err)
	}
	q := *p
	q.Prefix = [8]byte{0x20, 0x01, 0xd, 0xb8}
	addr, err := q.Address(0)
	if err != nil {
		t.Fatal(err)
	}
	prefix, _ := addr.Prefix(64)
	c.Addresses = []config.Address{{Prefix: prefix, Addr: addr, Key: "mine"}}
	if err := check(); err != nil {
		t.Errorf("an address of the key: %v", err)
	}
	c.Addresses[0].Addr = addr.Next()
	if err := check(); err == nil || !strings.Contains(err.Error(), "addresses."+addr.Next().String()+": the parameters of key mine give other addresses") {
		t.Errorf("an address of another key: %v", err)
	}
	c.Addresses = []config.Address{{Prefix: prefix, Key: "d"}}
	if err := check(); err == nil || !strings.Contains(err.Error(), "addresses.2001:db8::/64: there is no usable key") {
		t.Errorf("a prefix without a key: %v", err)
	}
}
