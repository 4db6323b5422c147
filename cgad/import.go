// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"shim6/cgad/config"
	"shim6/cgad/identity"
	"shim6/internal/cga"
)

// imports puts a bundle, or the files of LinShim6, into the key directory and tells what to write into the configuration
// for them.
func (p *program) imports(args []string) error {
	c := config.Default()
	dir := p.keys
	if dir == "" {
		var err error
		if c, err = p.load(); err != nil {
			return err
		}
		dir = c.Keys
	}
	file := p.linShim6
	if file == "" {
		file = args[0]
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if p.linShim6 != "" {
		return p.importLinShim6(dir, f)
	}
	in, err := identity.Import(dir, f)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	p.made(dir, in)
	return advise(p.stdout, c, in)
}

func (p *program) made(dir string, in *identity.Imported) {
	for _, name := range in.Made {
		fmt.Fprintf(p.stdout, "made %s\n", name)
	}
	if len(in.Made) == 0 {
		fmt.Fprintf(p.stdout, "%s is there already\n", filepath.Join(dir, in.Name))
	}
}

// importLinShim6 reads a params.conf, or a cgad.conf and the params.conf that it names.
func (p *program) importLinShim6(dir string, f *os.File) error {
	text, err := io.ReadAll(io.LimitReader(f, linShim6Max))
	if err != nil {
		return err
	}
	if !identity.IsLinShim6Conf(string(text)) {
		return p.importParams(dir, f.Name(), bytes.NewReader(text), nil)
	}
	c, err := identity.ParseLinShim6Conf(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	params := cmp.Or(c.Params, filepath.Join(filepath.Dir(f.Name()), "params.conf"))
	g, err := os.Open(params)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	defer g.Close()
	return p.importParams(dir, params, g, c)
}

// linShim6Max is the longest file of LinShim6 that is read.
const linShim6Max = 1<<20 + 1

// importParams tells of each block of a params.conf what has become of it, and of the keys of the cgad.conf if there is one.
func (p *program) importParams(dir, name string, r io.Reader, c *identity.OldConf) error {
	all, err := identity.ImportLinShim6(dir, r)
	for _, in := range all {
		p.made(dir, in.Imported)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var links, addresses, sets []string
	for _, in := range all {
		mp, err := in.Params.MultiPrefix()
		switch {
		case err != nil:
			return err
		case mp != nil:
			sets = append(sets, set(in.Name, in.Key, mp, in.Params))
		case in.Kind == "address":
			prefix, err := netip.MustParseAddr(in.Of).Prefix(64)
			if err != nil {
				return err
			}
			addresses = append(addresses, fmt.Sprintf("  \"%v\": %s\n", prefix, in.Key))
		case in.Kind == "named" && in.Of != identity.DefaultName:
			links = append(links, fmt.Sprintf("  %s: %s\n", in.Of, in.Key))
		}
	}
	fmt.Fprint(p.stdout, "to use them, cgad.yaml needs:\n\nkey: default\n")
	section(p.stdout, "links", links)
	section(p.stdout, "addresses", addresses)
	section(p.stdout, "sets", sets)
	if c != nil {
		adviseOld(p.stdout, c)
	}
	return nil
}

// adviseOld tells what the keys of a cgad.conf have become.
func adviseOld(w io.Writer, c *identity.OldConf) {
	if c.Autoconf {
		fmt.Fprint(w, "existing: remove # LinShim6 replaced addresses; the default, deprecate, lets their connections go on\n")
	} else {
		fmt.Fprint(w, "\ncgad_addr_autoconf=no has no counterpart: without addresses to make, do not run cgad\n")
	}
	if c.Replace {
		fmt.Fprint(w, "\nreplace_linklocal_addresses has no counterpart: link-local addresses are no locators and stay as they are\n")
	}
	for _, line := range c.Dropped {
		fmt.Fprintf(w, "%s means nothing any more\n", line)
	}
}

func section(w io.Writer, name string, entries []string) {
	if len(entries) > 0 {
		fmt.Fprintf(w, "%s:\n%s", name, strings.Join(entries, ""))
	}
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
	key := ""
	if mp.P {
		key = in.Name
	}
	fmt.Fprint(w, "to use it, cgad.yaml needs:\n\n")
	section(w, "sets", []string{set(in.Name, key, mp, in.Params)})
	return nil
}

// set gives the entry of an HBA set in the configuration. LinShim6 wrote the P flag into the wrong octet on most machines,
// so that a set with a key may look like one without; it works as such.
func set(name, key string, mp *cga.MultiPrefix, params *cga.Params) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %s:\n    prefixes:\n", name)
	for _, x := range mp.Prefixes {
		var a [16]byte
		copy(a[:], x[:])
		fmt.Fprintf(&b, "      - \"%v\"\n", netip.PrefixFrom(netip.AddrFrom16(a), 64))
	}
	if mp.P && key != "" {
		fmt.Fprintf(&b, "    key: %s\n", key)
	}
	fmt.Fprintf(&b, "    sec: %d\n", params.Strength())
	return b.String()
}
