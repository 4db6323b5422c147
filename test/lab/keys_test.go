// SPDX-License-Identifier: MIT

package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"shim6/test/lab/topo"
)

// The first cases of a fresh tree begin at the same time, and each wants the keys.
func TestKeysAreMadeAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys", "b-1")
	tool := filepath.Join(t.TempDir(), "cgatool")
	const makes = "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" != --out ] || out=$2; shift; done; sleep 0.1; echo key >\"$out/host.pem\"; echo made"
	if err := os.WriteFile(tool, []byte(makes), 0o755); err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	for range 8 {
		go func() {
			errs <- generate(tool, dir, filepath.Join(dir, "generated.json"), []netip.Prefix{topo.PrefixB1})
		}()
	}
	for range 8 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	list, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(list) != 1 {
		t.Errorf("%v lie beside the keys: %v", list, err)
	}
	for _, name := range []string{"host.pem", "generated.json"} {
		if raw, err := os.ReadFile(filepath.Join(dir, name)); err != nil || len(raw) == 0 {
			t.Errorf("%s: %q, %v", name, raw, err)
		}
	}
}
