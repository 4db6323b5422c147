// SPDX-License-Identifier: MIT

package cga

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode() != want {
		t.Errorf("%s has mode %v, want %v", path, st.Mode(), want)
	}
}

// wantFiles checks that a directory holds these files and no left-over.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the directory holds %q, want %q", got, want)
	}
}

// wantNew checks a function that makes a file: its mode whatever the umask, never over an existing one, no left-overs.
func wantNew(t *testing.T, mode os.FileMode, write func(path string) error) {
	t.Helper()
	defer syscall.Umask(syscall.Umask(0))
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := write(path); err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, mode)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	err = write(path)
	wantErr(t, err, os.ErrExist)
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v does not name the file", err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	wantErr(t, write(filepath.Join(dir, "link")), os.ErrExist)
	wantErr(t, write(filepath.Join(dir, "no such directory", "file")), os.ErrNotExist)
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file was changed, %v", err)
	}
	wantFiles(t, dir, "file", "link")
}

func TestWriteParams(t *testing.T) {
	p := mustParse(t, rfcParams+"fffd0001aa")
	wantNew(t, paramsMode, func(path string) error { return WriteParams(path, p) })
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteParams(path, p); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantOctets(t, "file", b, rfcParams+"fffd0001aa")
	back, err := LoadParams(path)
	if err != nil {
		t.Fatal(err)
	}
	wantOctets(t, "structure", back.Marshal(), rfcParams+"fffd0001aa")
}

func TestReplaceParams(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceParams(path, &Params{}); err == nil {
		t.Error("parameters without a key were written")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
		t.Errorf("after a failed call: %q, %v", b, err)
	}
	if err := ReplaceParams(path, mustParse(t, rfcParams)); err != nil {
		t.Fatal(err)
	}
	wantMode(t, path, paramsMode)
	if _, err := LoadParams(path); err != nil {
		t.Error(err)
	}
	wantFiles(t, dir, "file")
}

func TestWriteParamsRefusesWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for name, p := range map[string]*Params{
		"no key":              {},
		"octets after a key":  {PublicKey: []byte{0x30, 0, 0}},
		"long extension":      {PublicKey: []byte{0x30, 0}, Extensions: []Extension{{Data: make([]byte, 65536)}}},
		"too long as a whole": {PublicKey: []byte{0x30, 0}, Extensions: []Extension{{Data: make([]byte, 65535)}}},
	} {
		if err := WriteParams(filepath.Join(dir, "file"), p); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	wantFiles(t, dir)
}

func TestLoadParamsErrors(t *testing.T) {
	dir := t.TempDir()
	bad, big, fifo := filepath.Join(dir, "bad"), filepath.Join(dir, "big"), filepath.Join(dir, "fifo")
	if err := errors.Join(
		os.WriteFile(bad, unhex(rfcParams+"00"), 0o600),
		os.WriteFile(big, make([]byte, maxFileLen+1), 0o600),
		syscall.Mkfifo(fifo, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		bad:                        "octet 119",
		big:                        "more than",
		fifo:                       "not a regular file",
		dir:                        "is a directory",
		filepath.Join(dir, "none"): "no such file",
	} {
		_, err := LoadParams(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}
