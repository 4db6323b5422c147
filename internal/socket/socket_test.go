// SPDX-License-Identifier: MIT

package socket

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "s")
	l, err := Listen(path, os.Getgid(), 0o660)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := st.Mode(); got != fs.ModeSocket|0o660 {
		t.Errorf("mode %v, want a socket with 0660", got)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("files beside the socket: %v", entries)
	}
	if _, err := Listen(path, os.Getgid(), 0o660); err == nil || err.Error() != "another process listens on "+path {
		t.Errorf("a second listener: %v", err)
	}
	// A process that is killed leaves its socket behind.
	if err := l.UnixListener.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = Listen(path, os.Getgid(), 0o660)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, os.Getgid(), 0o660); err == nil || err.Error() != path+" exists and is not a socket" {
		t.Errorf("a file in the way: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("the file in the way was touched")
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 200)), os.Getgid(), 0o660); err == nil {
		t.Error("a path too long for a socket was taken")
	}
}
