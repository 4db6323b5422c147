// SPDX-License-Identifier: MIT

package identity

import (
	"archive/tar"
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shim6/cgad/config"
	"shim6/internal/cga"
)

// A member is a file in a bundle.
type member struct {
	name, contents string
}

func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: m.name, Mode: 0o600, Size: int64(len(m.contents))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.contents)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// made gives the three files of a key, and those of an HBA set without one.
func made(t *testing.T) (key, params, addrs, setParams, setAddrs string) {
	t.Helper()
	c := config.Default()
	c.Keys, c.Sec = t.TempDir(), 0
	addKey(t, c.Keys, "default")
	prefix := netip.MustParsePrefix("2001:db8:a:1::/64")
	c.Sets = []config.Set{{Name: "site", Prefixes: []netip.Prefix{prefix}}}
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join(c.Keys, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	addr := func(p *cga.Params, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		q := *p
		q.Prefix = subnets([]netip.Prefix{prefix})[0]
		a, err := q.Address(0)
		if err != nil {
			t.Fatal(err)
		}
		return a.String() + "\n"
	}
	addrs, setAddrs = addr(Generate(t.Context(), c, "default")), addr(Generate(t.Context(), c, "set/site"))
	return text("default.pem"), text("default.pds"), addrs, text("site.pds"), setAddrs
}

func TestImport(t *testing.T) {
	key, params, addrs, setParams, setAddrs := made(t)
	dir := filepath.Join(t.TempDir(), "keys")
	mine := pack(t, member{"mine.pem", key}, member{"mine.pds", params}, member{"mine.addresses", addrs})
	in, err := Import(dir, bytes.NewReader(mine))
	if err != nil {
		t.Fatal(err)
	}
	if in.Name != "mine" || len(in.Made) != 2 || in.Addresses[0].String()+"\n" != addrs {
		t.Errorf("got %+v", in)
	}
	if in, err := Import(dir, bytes.NewReader(mine)); err != nil || len(in.Made) != 0 {
		t.Errorf("the same again: %+v, %v", in, err)
	}
	if in, err := Import(dir, bytes.NewReader(pack(t, member{"site.pds", setParams}, member{"site.addresses", setAddrs}))); err != nil || len(in.Made) != 1 {
		t.Errorf("a set without a key: %+v, %v", in, err)
	}
	if got := list(t, dir); got != "mine.pds mine.pem site.pds" {
		t.Errorf("files are %s", got)
	}
	c := config.Default()
	c.Keys, c.Sec = dir, 0
	if a := read(t, c); a.Default != "mine" || named(t, a, "mine").Params == nil {
		t.Errorf("not used: %+v", a)
	}
}

// What does not fit is refused whole: nothing is written and nothing is changed.
func TestImportRefuses(t *testing.T) {
	key, params, addrs, setParams, setAddrs := made(t)
	otherKey, otherParams, otherAddrs, _, _ := made(t)
	k, p, a := member{"mine.pem", key}, member{"mine.pds", params}, member{"mine.addresses", addrs}
	for name, tt := range map[string]struct {
		octets []byte
		want   string
	}{
		"nothing":             {nil, "missing"},
		"no tar file":         {[]byte(strings.Repeat("x", 1024)), "bad bundle"},
		"cut":                 {pack(t, k, p, a)[:700], "bad bundle"},
		"no parameters":       {pack(t, k, a), "missing"},
		"no addresses":        {pack(t, k, p), "missing"},
		"no key":              {pack(t, p, a), "the private key is missing"},
		"another key":         {pack(t, member{"mine.pem", otherKey}, p, a), "not that of the parameters"},
		"no key at all":       {pack(t, member{"mine.pem", "x"}, p, a), "no PEM"},
		"other addresses":     {pack(t, k, p, member{"mine.addresses", addrs + otherAddrs}), "do not prove"},
		"no addresses in it":  {pack(t, k, p, member{"mine.addresses", ""}), "no address"},
		"text as addresses":   {pack(t, k, p, member{"mine.addresses", "hello\n"}), "hello"},
		"broken parameters":   {pack(t, k, member{"mine.pds", "x"}, a), "cga parameters"},
		"path":                {pack(t, member{"../mine.pem", key}, p, a), "not a file name"},
		"hidden":              {pack(t, member{".mine.pem", key}, p, a), "not a file name"},
		"two names":           {pack(t, k, member{"yours.pds", params}, a), "both"},
		"twice":               {pack(t, k, k, p, a), "twice"},
		"another file":        {pack(t, k, p, a, member{"mine.txt", ""}), "none of its files"},
		"large":               {pack(t, k, p, a, member{"mine.addresses", ""}, member{"mine.pem", strings.Repeat("x", 1<<18)}), "twice"},
		"large key":           {pack(t, member{"mine.pem", strings.Repeat("x", 1<<18)}), "at most"},
		"set for a key":       {pack(t, k, member{"mine.pds", setParams}, member{"mine.addresses", setAddrs}), "not that of the parameters"},
		"set with addr of it": {pack(t, member{"mine.pds", setParams}, member{"mine.addresses", addrs}), "do not prove"},
	} {
		dir := t.TempDir()
		if _, err := Import(dir, bytes.NewReader(tt.octets)); !errors.Is(err, ErrBundle) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, tt.want)
		}
		if got := list(t, dir); got != "" {
			t.Errorf("%s: files are %s", name, got)
		}
	}

	dir := t.TempDir()
	if _, err := Import(dir, bytes.NewReader(pack(t, k, p, a))); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "mine.pem"))
	if err != nil {
		t.Fatal(err)
	}
	other := pack(t, member{"mine.pem", otherKey}, member{"mine.pds", otherParams}, member{"mine.addresses", otherAddrs})
	if _, err := Import(dir, bytes.NewReader(other)); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another key: %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "mine.pem")); err != nil || !slices.Equal(before, after) {
		t.Error("the key was overwritten")
	}
}

func FuzzReadBundle(f *testing.F) {
	f.Add(pack(f, member{"a.pds", "x"}, member{"a.addresses", "::1\n"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readBundle(bytes.NewReader(b))
		if err == nil && (strings.ContainsAny(got.name, "/\x00") || got.name == "" || len(got.files) > bundleFiles) {
			t.Fatalf("got %q with %d files", got.name, len(got.files))
		}
	})
}
