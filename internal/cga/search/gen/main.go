// SPDX-License-Identifier: MIT

// Command gen writes the assembly kernels of package search.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// A variant is what a kernel is written for: the word of the block that it varies, and whether its streams share the
// schedule and start from states of their own, or the other way round. Word 3 is the end of the modifier, word 13 the last
// one before the padding of a message that fills its last block.
type variant struct {
	word   int
	spread bool
}

var variants = []variant{{3, false}, {3, true}, {13, true}}

// name is that of the kernel of an engine.
func (v variant) name(engine string) string {
	if v.spread {
		return fmt.Sprintf("%sWord%dSpread", engine, v.word)
	}
	return fmt.Sprintf("%sWord%d", engine, v.word)
}

// files are what this command writes, with the function that makes each.
var files = map[string]func() []byte{
	"avx2_amd64.s":   avx2,
	"avx512_amd64.s": avx512,
	"shani_amd64.s":  shani,
}

func main() {
	dir := flag.String("dir", ".", "write into `DIR`")
	flag.Parse()
	for name, source := range files {
		if err := os.WriteFile(filepath.Join(*dir, name), source(), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
	}
}
