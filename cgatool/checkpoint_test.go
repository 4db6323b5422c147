// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"testing"

	"shim6/internal/cga"
)

// A checkpoint is a file that anybody may have changed. Whatever is in it, a search is refused, or goes on and finds
// what verifies.
func FuzzCheckpoint(f *testing.F) {
	const start = "000102030405060708090a0b0c0d0e0f0000000000000000003000"
	f.Add([]byte(""))
	f.Add([]byte(`{"format": "cgatool checkpoint 1", "sec": 1, "search": "modifier", "start": "` + start + `", "position": 5, "trials": 7, "elapsed_s": 1.5}`))
	f.Add([]byte(`{"format": "cgatool checkpoint 1", "sec": 1, "search": "modifier", "start": "` + start + `", "position": 18446744073709551615}`))
	f.Add([]byte(`{"format": "cgatool checkpoint 1", "sec": 1, "search": "modifier", "start": "` + start + `", "found": "` + start + `"}`))
	f.Add([]byte(`{"format": "cgatool checkpoint 1", "start": "` + start + `", "elapsed_s": -1}`))
	f.Add([]byte(`{"format": "cgatool checkpoint 1", "start": "` + start + `", "elapsed_s": 1e300}`))
	f.Fuzz(func(t *testing.T, contents []byte) {
		path := filepath.Join(t.TempDir(), "cp")
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
		s := &search{
			options:    cga.GenerateOptions{PublicKey: []byte{0x30, 0}, Sec: 1},
			prefixes:   [][8]byte{{0xfe, 0x80}},
			checkpoint: path,
		}
		r, err := s.run(t.Context(), newProgress(os.Stderr, 1))
		if err != nil {
			return
		}
		q := *r.params
		q.Prefix = s.prefixes[0]
		if err := cga.Verify(r.addresses[0], &q); err != nil {
			t.Fatal(err)
		}
		if string(q.PublicKey) != "\x30\x00" || len(q.Extensions) > 0 {
			t.Fatalf("the result has another key: %+v", q)
		}
	})
}
