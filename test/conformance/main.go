// SPDX-License-Identifier: MIT

// Command conformance runs the tests that show each requirement of the RFCs and tells which of these hold. The tables beside it name
// the requirements and their tests.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	root := flag.String("root", ".", "the folder of go.mod")
	out := flag.String("out", "test/out/conformance", "where matrix.txt and result.json go")
	labOut := flag.String("lab", "test/out", "where the lab left its results")
	stale := flag.Bool("stale", false, "only print the lab cases that have to run first")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "conformance: error: %q is no flag\n", flag.Arg(0))
		os.Exit(2)
	}
	if *stale {
		if err := printStale(*root, *labOut); err != nil {
			fmt.Fprintf(os.Stderr, "conformance: error: %v\n", err)
			os.Exit(1)
		}
		return
	}
	open, err := run(*root, *out, *labOut)
	if err != nil {
		fmt.Fprintf(os.Stderr, "conformance: error: %v\n", err)
		os.Exit(1)
	}
	if open > 0 {
		os.Exit(1)
	}
}

// printStale prints the lab cases without a result of the code as it is.
func printStale(root, labOut string) error {
	tables, err := loadTables()
	if err != nil {
		return err
	}
	lab, err := readLab(root, labOut)
	if err != nil {
		return err
	}
	names, err := lab.stale(tables)
	fmt.Println(strings.Join(names, " "))
	return err
}

// run judges every row and gives how many are open.
func run(root, out, labOut string) (open int, err error) {
	tables, err := loadTables()
	if err != nil {
		return 0, err
	}
	known, err := testsInTree(root)
	if err != nil {
		return 0, err
	}
	if err := check(tables, known); err != nil {
		return 0, err
	}
	outcomes := runTests(root, tables, os.Stdout)
	lab, err := readLab(root, labOut)
	if err != nil {
		return 0, err
	}
	r := judge(tables, outcomes, lab)
	if err := os.MkdirAll(out, 0o755); err != nil {
		return 0, err
	}
	if err := r.write(out); err != nil {
		return 0, err
	}
	r.summary(os.Stdout)
	fmt.Printf("conformance: %s and %s\n", filepath.Join(out, "matrix.txt"), filepath.Join(out, "result.json"))
	return r.Open, nil
}
