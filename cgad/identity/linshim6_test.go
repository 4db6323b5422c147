// SPDX-License-Identifier: MIT

package identity

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// old is a directory as LinShim6 had it, and its params.conf.
func old(t *testing.T) (dir, conf string) {
	t.Helper()
	dir = t.TempDir()
	key, params, _, setParams, _ := made(t)
	otherKey, otherParams, _, _, _ := made(t)
	for name, text := range map[string]string{"default_key.pem": key, "default.der": params, "hba.der": setParams, "other.pem": otherKey, "other.der": otherParams} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, strings.ReplaceAll(`
# the shipped example
hba_set site { 2001:db8:a:1:: ; }
named default { cga_params DIR/default.der; cga_priv DIR/default_key.pem; cga_sec 1; }
Named eth1    { cga_params DIR/hba.der; cga_priv DIR/default_key.pem; cga_sec 1; hba_set site; }
named eth2 { use default; }
address 2001:db8:a:1::1 { cga_params DIR/other.der; cga_priv DIR/other.pem; cga_sec 0; sig_meth x; interface eth0; } # the end
`, "DIR", dir)
}

func TestImportLinShim6(t *testing.T) {
	_, conf := old(t)
	dir := filepath.Join(t.TempDir(), "keys")
	for _, files := range []int{6, 0} {
		all, err := ImportLinShim6(dir, strings.NewReader(conf))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		n := 0
		for _, p := range all {
			got = append(got, p.Kind+" "+p.Of+" "+p.Key)
			n += len(p.Made)
		}
		want := "named default default,named eth1 ,named eth2 default,address 2001:db8:a:1::1 2001-db8-a-1--1"
		if strings.Join(got, ",") != want || n != files {
			t.Errorf("got %s with %d files, want %s with %d", strings.Join(got, ","), n, want, files)
		}
	}
	if got := list(t, dir); got != "2001-db8-a-1--1.pds 2001-db8-a-1--1.pem default.pds default.pem eth1.pds eth2.pds" {
		t.Errorf("files are %s", got)
	}
}

func TestImportLinShim6Refuses(t *testing.T) {
	dir, _ := old(t)
	for text, want := range map[string]string{
		"nonsense":                `"nonsense" is none of`,
		"named default":           `"" in place of "{"`,
		"named { }":               "cannot be the name",
		"named ../x { }":          "cannot be the name",
		"address eth0 { }":        "cannot be the name",
		"named a {":               "a has no end",
		"named a { cga_params x":  `"" in place of ";"`,
		"named a { cga_compat; }": `unknown key "cga_compat"`,
		"named a { cga_sec 1; }":  "a has no cga_params",
		"named a { use b; }":      "a uses b",
		"named a { use a; }":      "a uses a",
		"named a { cga_params x; } named a { use a; }":                    "a is there twice",
		"named a { cga_params DIR/default.der; cga_priv DIR/other.pem; }": "not that of the parameters",
		strings.Repeat("#\n", 1<<20):                                      "larger",
	} {
		keys := t.TempDir()
		_, err := ImportLinShim6(keys, strings.NewReader(strings.ReplaceAll(text, "DIR", dir)))
		if !errors.Is(err, ErrLinShim6) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want an error with %q", text, err, want)
		}
		if got := list(t, keys); got != "" {
			t.Errorf("%.40q: files are %s", text, got)
		}
	}
	if _, err := ImportLinShim6(t.TempDir(), strings.NewReader("named a { cga_params /none; }")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseLinShim6(f *testing.F) {
	f.Add("hba_set s { 1:: ; } named default { cga_params a; cga_priv b; } named e { use default; }")
	f.Fuzz(func(t *testing.T, text string) {
		blocks, err := parseLinShim6(strings.NewReader(text))
		for _, b := range blocks {
			if err != nil || b.name == "" || b.params == "" && b.use == "" || strings.Contains(b.name, "/") {
				t.Fatalf("got %+v, %v", b, err)
			}
		}
	})
}
