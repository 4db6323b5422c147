// SPDX-License-Identifier: MIT

package signer

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"shim6/internal/cga"
)

// host is a key directory and a socket at which a signer is started for each connection, as systemd does.
type host struct {
	dir, socket string
	conns       chan net.Conn
}

func newHost(t *testing.T, keys ...string) *host {
	t.Helper()
	h := &host{dir: t.TempDir(), socket: filepath.Join(t.TempDir(), "s"), conns: make(chan net.Conn, 10)}
	for _, name := range keys {
		h.add(t, name)
	}
	l, err := net.Listen("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.conns <- c
			go func() {
				defer c.Close()
				loaded, err := cga.LoadKeys(h.dir)
				_ = Serve(c, c, loaded, err) // the client may be gone
			}()
		}
	}()
	return h
}

func (h *host) add(t *testing.T, name string) {
	t.Helper()
	key, err := cga.NewKey(cga.MinKeyBits)
	if err == nil {
		err = cga.WriteKey(filepath.Join(h.dir, name+".pem"), key)
	}
	if err != nil {
		t.Fatal(err)
	}
}

var signed = cga.SignedData(7, []netip.Addr{netip.MustParseAddr("2001:db8::1")})

func TestSigner(t *testing.T) {
	h := newHost(t, "default", "second")
	c := New(h.socket)
	s, err := c.LoadDir(h.dir)
	if err != nil || !slices.Equal(s.KeyIDs(), []string{"default", "second"}) {
		t.Fatalf("keys %v, %v", s.KeyIDs(), err)
	}
	for _, id := range s.KeyIDs() {
		k := s.Key(id)
		sig, err := k.Sign(signed)
		if err == nil {
			err = cga.VerifySignature(k.PublicKey(), signed, sig)
		}
		if err != nil {
			t.Errorf("key %s: %v", id, err)
		}
	}
	// A signature is of use to no other protocol (RFC 3972 section 6: the type tag is there for this).
	for _, data := range [][]byte{nil, []byte("hello"), signed[:15], signed[1:]} {
		if sig, err := s.Key("default").Sign(data); err == nil || sig != nil {
			t.Errorf("%x was signed", data)
		}
	}
	if len(h.conns) != 1 {
		t.Errorf("%d connections", len(h.conns))
	}
}

// What is not there any more, or only now, is told by the next LoadDir; keys of before are asked for under their names.
func TestKeysChange(t *testing.T) {
	h := newHost(t, "default")
	c := New(h.socket)
	before, err := c.LoadDir(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	h.add(t, "new")
	if err := os.Rename(filepath.Join(h.dir, "default.pem"), filepath.Join(h.dir, "other.pem")); err != nil {
		t.Fatal(err)
	}
	after, err := c.LoadDir(h.dir)
	if err != nil || !slices.Equal(after.KeyIDs(), []string{"new", "other"}) {
		t.Errorf("keys %v, %v", after.KeyIDs(), err)
	}
	if _, err := before.Key("default").Sign(signed); err == nil || !strings.Contains(err.Error(), `there is no key "default"`) {
		t.Errorf("a key that has gone: %v", err)
	}
}

func TestBrokenKeyIsTold(t *testing.T) {
	h := newHost(t, "default")
	if err := os.WriteFile(filepath.Join(h.dir, "open.pem"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(h.dir, "open.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := New(h.socket).LoadDir(h.dir)
	if err == nil || !strings.Contains(err.Error(), "open.pem: mode 0644") || !slices.Equal(s.KeyIDs(), []string{"default"}) {
		t.Errorf("keys %v, %v", s.KeyIDs(), err)
	}
}

// A signer that ended is replaced by the next one; without any, the error names the socket.
func TestSignerEnds(t *testing.T) {
	h := newHost(t, "default")
	c := New(h.socket)
	s, err := c.LoadDir(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	(<-h.conns).Close()
	if _, err := s.Key("default").Sign(signed); err != nil {
		t.Errorf("after the end of the first signer: %v", err)
	}
	c.Close()
	if err := os.Remove(h.socket); err != nil {
		t.Fatal(err)
	}
	_, err = s.Key("default").Sign(signed)
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), h.socket) {
		t.Errorf("without a signer: %v", err)
	}
	if s, err := c.LoadDir(h.dir); err == nil || s == nil {
		t.Errorf("without a signer: %v, %v", s, err)
	}
}

func TestServeRefuses(t *testing.T) {
	h := newHost(t, "default")
	keys, err := cga.LoadKeys(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"hello":                       `{"error":"request: invalid character 'h' looking for beginning of value"}`,
		`{"key":1}`:                   `{"error":"request: json: cannot unmarshal number into Go struct field request.key of type string"}`,
		`{"key":"x","data":"SjBW"}`:   `{"error":"there is no key \"x\""}`,
		`{"key":"default"}`:           `{"error":"that is nothing that Shim6 signs (RFC 5533 section 5.15.5)"}`,
		`{"key":"default","data":"!`:  `{"error":"request: unexpected end of JSON input"}`,
		`{"key":"../default.pem"}`:    `{"error":"there is no key \"../default.pem\""}`,
		`{"key":"default","data":""}`: `{"error":"that is nothing that Shim6 signs (RFC 5533 section 5.15.5)"}`,
	} {
		var out bytes.Buffer
		if err := Serve(strings.NewReader(line+"\n"), &out, keys, nil); err != nil || strings.TrimSpace(out.String()) != want {
			t.Errorf("%s: %s, %v", line, &out, err)
		}
	}
	var out bytes.Buffer
	if err := Serve(strings.NewReader(strings.Repeat("x", 2*lineMax)), &out, keys, nil); err == nil || out.Len() > 0 {
		t.Errorf("a line of %d octets: %q, %v", 2*lineMax, &out, err)
	}
}

// The public key is all that comes out.
func TestPrivateKeysStay(t *testing.T) {
	h := newHost(t, "default")
	keys, err := cga.LoadKeys(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	key, err := cga.LoadPrivateKey(filepath.Join(h.dir, "default.pem"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Serve(strings.NewReader("{}\n"), &out, keys, nil); err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	public, err := cga.MarshalPublicKey(&key.PublicKey)
	if err != nil || len(a.Keys) != 1 || !bytes.Equal(a.Keys["default"], public) {
		t.Errorf("%s is not the public key alone, %v", &out, err)
	}
}
