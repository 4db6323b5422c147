// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The committed kernels are what the generator writes.
func TestGenerated(t *testing.T) {
	for name, source := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, source()) {
			t.Errorf("%s is not what the generator writes: run go generate", name)
		}
	}
	committed, err := filepath.Glob("../*.s")
	if err != nil {
		t.Fatal(err)
	}
	if len(committed) != len(files) {
		t.Errorf("%d assembly files, want %d", len(committed), len(files))
	}
}

// A word changes itself and much of the schedule from three words behind it on. Word 3 leaves 21 words alone, word 13
// leaves 29.
func TestVarying(t *testing.T) {
	for word, want := range map[int]int{3: 21, 13: 29} {
		n := 0
		for i, v := range varying(word) {
			if !v {
				n++
			}
			if i < 16 && v != (i == word) {
				t.Errorf("word %d: schedule word %d varies: %t", word, i, v)
			}
		}
		if n != want {
			t.Errorf("%d schedule words do not depend on word %d, want %d", n, word, want)
		}
	}
}
