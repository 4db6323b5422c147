// SPDX-License-Identifier: MIT

package cga

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keyDir is a directory with the signer key and its parameters, an HBA set without a key, and the parameters of a key
// that is elsewhere.
func keyDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeText(t, filepath.Join(dir, "host.pem"), signerPEM, 0o600)
	writeText(t, filepath.Join(dir, "first.pds"), string(unhex(countedStart+"20010db800010002"+"00"+signerHex)), 0o600)
	writeText(t, filepath.Join(dir, "hba.pds"), string(unhex("89a8a8b2e858d8b8f2633f44d2d9bd90fe8000000000000000"+nonceKeyHex+threePrefixes)), 0o644)
	writeText(t, filepath.Join(dir, "rfc.pds"), string(unhex(rfcParams)), 0o644)
	writeText(t, filepath.Join(dir, "README"), "not a key", 0o644)
	writeText(t, filepath.Join(dir, ".half.pem"), "not a key", 0o644)
	return dir
}

func TestLoadDir(t *testing.T) {
	s, err := LoadDir(keyDir(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		addr       string
		keyID      string
		collisions uint8
	}{
		{"2001:db8:1:2:18a2:c956:a51d:e727", "host", 0},
		{"2001:db8:1:2:c73:252e:e1e8:a7f5", "host", 1},
		{"2001:688:1f99:1:344a:c7a4:ebd1:723c", "", 0},
		{"2001:660:7301:1:3c09:1480:6f0d:880d", "", 0},
		{rfcAddress, "", 0},
	} {
		addr := netip.MustParseAddr(tt.addr)
		p, id, ok := s.ParamsFor(addr)
		if !ok || id != tt.keyID || p.CollisionCount != tt.collisions || p.Prefix != prefix(tt.addr) {
			t.Errorf("%v: got %+v, %q, %v", addr, p, id, ok)
			continue
		}
		if err := p.VerifyFor(addr); err != nil {
			t.Errorf("%v: %v", addr, err)
		}
	}
	for _, a := range []string{"2001:db8::1", "2001:db8:9::281b:a84b:5e3b:6b7a", "192.0.2.1"} {
		if p, id, ok := s.ParamsFor(netip.MustParseAddr(a)); ok || p != nil || id != "" {
			t.Errorf("%s: got %v, %q, %v", a, p, id, ok)
		}
	}
	if spki, err := MarshalPublicKey(&signer(t).PublicKey); err != nil || !bytes.Equal(s.Key("host").PublicKey(), spki) {
		t.Error("another key under host")
	}
	if s.Key("") != nil || s.Key("rfc") != nil {
		t.Error("a key that is not there")
	}
	var names []string
	for _, e := range s.Entries() {
		names = append(names, e.Name+":"+e.KeyID)
	}
	if got := strings.Join(names, " "); got != "first:host hba: rfc:" {
		t.Errorf("entries are %s", got)
	}
}

// One broken file is named and does not hide the others.
func TestLoadDirBrokenFiles(t *testing.T) {
	dir := keyDir(t)
	writeText(t, filepath.Join(dir, "open.pem"), signerPEM, 0o640)
	writeText(t, filepath.Join(dir, "cut.pds"), "short", 0o600)
	writeText(t, filepath.Join(dir, "twice.pds"), string(unhex(header+signerHex+threePrefixes+threePrefixes)), 0o600)
	// The key beside these parameters is another one.
	writeText(t, filepath.Join(dir, "rfc.pem"), signerPEM, 0o600)
	if err := os.Mkdir(filepath.Join(dir, "dir.pem"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := LoadDir(dir)
	for _, want := range []string{"open.pem: mode 0640", "cut.pds: cga parameters", "twice.pds: bad Multi-Prefix", "rfc.pds: its public key is not that of rfc.pem", "dir.pem: is a directory"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q: %v", want, err)
		}
	}
	if n := len(strings.Split(err.Error(), "\n")); n != 5 {
		t.Errorf("%d errors, want 5: %v", n, err)
	}
	if _, id, ok := s.ParamsFor(netip.MustParseAddr("2001:db8:1:2:18a2:c956:a51d:e727")); !ok || id != "host" {
		t.Errorf("the good key is hidden: %q, %v", id, ok)
	}
	if _, _, ok := s.ParamsFor(netip.MustParseAddr(rfcAddress)); ok {
		t.Error("parameters beside a foreign key are used")
	}
}

func TestLoadDirMissing(t *testing.T) {
	s, err := LoadDir(filepath.Join(t.TempDir(), "none"))
	wantErr(t, err, os.ErrNotExist)
	if s == nil || len(s.Entries()) != 0 {
		t.Fatalf("got store %v", s)
	}
	if _, _, ok := s.ParamsFor(netip.MustParseAddr(rfcAddress)); ok {
		t.Error("parameters from nowhere")
	}
}

// RFC 5535 section 5: with the P flag the key field holds a key; without it nothing there signs.
func TestParamsForHBASetWithKey(t *testing.T) {
	for _, hasKey := range []bool{true, false} {
		dir := t.TempDir()
		set := MultiPrefix{P: hasKey, Prefixes: prefixes("2001:db8:1:2::")}
		p, addr := made(t, signerHex, "2001:db8:1:2::", set.Extension())
		writeText(t, filepath.Join(dir, "host.pem"), signerPEM, 0o600)
		writeText(t, filepath.Join(dir, "host.pds"), string(p), 0o600)
		s, err := LoadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, id, ok := s.ParamsFor(addr); !ok || (id == "host") != hasKey {
			t.Errorf("P %v: got %q, %v", hasKey, id, ok)
		}
	}
}
