// SPDX-License-Identifier: MIT

package initramfs

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"
)

// read returns the entries of an archive as "mode name=content" lines.
func read(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []string
	r := cpio.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, h.FileInfo().Mode().String()+" "+h.Name+"="+string(data)+h.Linkname)
	}
}

func TestArchive(t *testing.T) {
	a := new(Archive)
	a.File("/lab/keys/a/host.pem", 0o600, []byte("key"))
	a.File("/init", 0o755, []byte("program"))
	a.Symlink("/bin/sh", "busybox")
	a.Dir("/proc")
	path := filepath.Join(t.TempDir(), "image")
	if err := a.Write(path); err != nil {
		t.Fatal(err)
	}
	// The kernel unpacks in order: a folder comes before what is in it.
	want := []string{
		"drwxr-xr-x bin=", "Lrwxrwxrwx bin/sh=busybox", "-rwxr-xr-x init=program", "drwxr-xr-x lab=", "drwxr-xr-x lab/keys=",
		"drwxr-xr-x lab/keys/a=", "-rw------- lab/keys/a/host.pem=key", "drwxr-xr-x proc=",
	}
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestProgramBringsItsLibraries(t *testing.T) {
	a := new(Archive)
	if err := a.Program("/bin/ls", "/bin/ls"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bin/ls", "lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6"} {
		if _, ok := a.entries[name]; !ok {
			t.Errorf("the archive lacks %s", name)
		}
	}
}
