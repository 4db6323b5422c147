// SPDX-License-Identifier: MIT

// Command gen writes the assembly kernels of package search.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// words are the positions in a block that a kernel can vary: the end of the modifier, and the last word before the padding
// of a message that fills its last block.
var words = []int{3, 13}

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
