// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"
	"slices"

	"github.com/spf13/pflag"

	"shim6/internal/cga"
)

// isLinShim6 tells whether a command line is one of the cgatool of LinShim6, which has modes in place of commands.
func isLinShim6(args []string) bool {
	modes := []string{"-g", "--gen", "-v", "--ver"}
	return len(args) > 0 && len(args[0]) > 0 && args[0][0] == '-' &&
		slices.ContainsFunc(args, func(a string) bool { return slices.Contains(modes, a) })
}

type linShim6Flags struct {
	gen, ver        bool
	addresses       []string
	derFile, derOut string
	keyFile         string
	bits            int
	prefixes        []string
	sec             uint8
}

// linShim6 runs a command line of the LinShim6 tool. Unlike that tool it lets nobody else read the files it makes, and it
// overwrites none but parameter files.
func (t *tool) linShim6(ctx context.Context, args []string) error {
	var o linShim6Flags
	f := pflag.NewFlagSet("cgatool", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.BoolVarP(&o.gen, "gen", "g", false, "")
	f.BoolVarP(&o.ver, "ver", "v", false, "")
	f.StringArrayVarP(&o.addresses, "address", "a", nil, "")
	f.StringVarP(&o.derFile, "derfile", "D", "", "")
	f.StringVarP(&o.derOut, "derout", "o", "", "")
	f.StringVarP(&o.keyFile, "keyfile", "k", "", "")
	f.IntVarP(&o.bits, "rsa", "R", 0, "")
	f.StringArrayVarP(&o.prefixes, "prefix", "p", nil, "")
	f.Uint8VarP(&o.sec, "sec", "s", 1, "")
	f.BoolVar(&t.json, "json", false, "")
	if err := f.Parse(args); err != nil {
		return flagError(err)
	}
	switch {
	case f.NArg() > 0:
		return usagef("unexpected argument %q", f.Arg(0))
	case o.gen && o.ver:
		return usagef("give one of -g and -v")
	case o.ver:
		return t.linShim6Verify(o)
	}
	return t.linShim6Generate(ctx, o)
}

func (t *tool) linShim6Verify(o linShim6Flags) error {
	switch {
	case len(o.addresses) == 0:
		return usagef("-a is missing")
	case o.derFile == "":
		return usagef("-D is missing")
	}
	list, err := parseAddresses(o.addresses)
	if err != nil {
		return err
	}
	t.started = true
	return t.verify(list, o.derFile, verifyFlags{})
}

func (t *tool) linShim6Generate(ctx context.Context, o linShim6Flags) error {
	switch {
	case len(o.prefixes) == 0:
		return usagef("-p is missing")
	case (o.keyFile == "") == (o.derFile == ""):
		return usagef("give one of -k and -D")
	case o.bits != 0 && o.keyFile == "":
		return usagef("-R needs -k")
	case o.bits != 0 && (o.bits < cga.MinKeyBits || o.bits > cga.MaxKeyBits):
		return usagef("-R is %d to %d, not %d", cga.MinKeyBits, cga.MaxKeyBits, o.bits)
	}
	s, err := newSearch(o.sec, o.prefixes, false)
	if err != nil {
		return err
	}
	s.paramsFile, s.keyFile, s.bits = o.derFile, o.keyFile, o.bits
	out := &output{params: o.derOut}
	if exists(o.derOut) {
		_, err := cga.LoadParams(o.derOut)
		out.replace = err == nil
	}
	if o.bits != 0 {
		out.key, s.keyFile = o.keyFile, ""
	}
	t.started = true
	return t.generate(ctx, s, out)
}
