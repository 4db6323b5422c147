// SPDX-License-Identifier: MIT

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A machine without the kernels in assembly: the tool is built for arm64 without cgo and finds there what it finds
// here, and the tests of its packages pass.
func TestARM64(t *testing.T) {
	t.Parallel()
	const qemu = "qemu-aarch64-static"
	if _, err := exec.LookPath(qemu); err != nil {
		t.Fatalf("%v (Debian package qemu-user-static)", err)
	}
	dir := t.TempDir()
	build := func(name string, args ...string) string {
		out := filepath.Join(dir, name)
		cmd := exec.Command("go", append(args[:len(args)-1:len(args)-1], "-o", out, args[len(args)-1])...)
		cmd.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, b)
		}
		return out
	}
	run := func(where, program string, args ...string) string {
		cmd := exec.Command(qemu, append([]string{program}, args...)...)
		cmd.Dir = where
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, b)
		}
		return string(b)
	}
	cgatool := build("cgatool", "build", ".")
	run(dir, cgatool, "keygen", "--bits", "1024", "--out", "key.pem")
	args := []string{"generate", "--key", "key.pem", "--prefix", "2001:db8::", "--modifier", "000102030405060708090a0b0c0d0e0f", "--out", dir}
	run(dir, cgatool, append(args, "--name", "there")...)
	args[2] = filepath.Join(dir, "key.pem")
	var errors strings.Builder
	if code := (&tool{stdout: io.Discard, stderr: &errors}).run(t.Context(), append(args, "--name", "here")); code != exitOK {
		t.Fatalf("exit status %d: %s", code, &errors)
	}
	if a, b := read(t, filepath.Join(dir, "there.pds")), read(t, filepath.Join(dir, "here.pds")); a != b {
		t.Errorf("arm64 finds %x, this machine %x", a, b)
	}
	if got := run(dir, cgatool, "bench", "--bits", "1024", "--duration", "1ms", "--json"); !strings.Contains(got, `"generic"`) || strings.Count(got, `"engine"`) != 1 {
		t.Errorf("engines are %s", got)
	}
	for _, tt := range []struct{ pkg, tests string }{
		{"cga", "^(Fuzz.*|TestHBA.*|TestVerify.*|TestSign|TestParse.*|TestGenerateSetVectors|TestGenerateIn.*)$"},
		{"cga/search", "^(Fuzz.*|TestRunFirst|TestRunShard|TestEnginesFields|TestManyZeros|TestShard|TestAdvance|TestDeltas|TestPadChain)$"},
	} {
		path := "../internal/" + tt.pkg
		binary := build(filepath.Base(tt.pkg)+".test", "test", "-c", path)
		if got := run(path, binary, "-test.v", "-test.run", tt.tests); strings.Count(got, "--- PASS") < 8 || strings.Contains(got, "--- FAIL") {
			t.Errorf("%s: %s", tt.pkg, got)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
