// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"shim6/cgad/config"
	"shim6/cgad/identity"
	"shim6/internal/cga"
)

// importBundle puts a bundle of cgatool into the key directory and tells what to write into the configuration for it.
func (p *program) importBundle(file string) error {
	c := config.Default()
	dir := p.keys
	if dir == "" {
		var err error
		if c, err = p.load(); err != nil {
			return err
		}
		dir = c.Keys
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	in, err := identity.Import(dir, f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, name := range in.Made {
		fmt.Fprintf(p.stdout, "made %s\n", name)
	}
	if len(in.Made) == 0 {
		fmt.Fprintf(p.stdout, "%s is there already\n", filepath.Join(dir, in.Name))
	}
	return advise(p.stdout, c, in)
}

// advise tells what the configuration must say for the parameters to be used.
func advise(w io.Writer, c *config.Config, in *identity.Imported) error {
	mp, err := in.Params.MultiPrefix()
	if err != nil {
		return err
	}
	if mp == nil {
		if c.Key != in.Name {
			fmt.Fprintf(w, "to use it, cgad.yaml needs:\n\nkey: %s\n", in.Name)
		}
		return nil
	}
	fmt.Fprintf(w, "to use it, cgad.yaml needs:\n\nsets:\n  %s:\n    prefixes:\n", in.Name)
	for _, x := range mp.Prefixes {
		var a [16]byte
		copy(a[:], x[:])
		fmt.Fprintf(w, "      - \"%v\"\n", netip.PrefixFrom(netip.AddrFrom16(a), 64))
	}
	if mp.P {
		fmt.Fprintf(w, "    key: %s\n", in.Name)
	}
	fmt.Fprintf(w, "    sec: %d\n", min(in.Params.Strength(), cga.MaxSec))
	return nil
}
