// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"shim6/internal/cga"
)

// A verdict is the result for one address, and its JSON form.
type verdict struct {
	Address netip.Addr `json:"address"`
	OK      bool       `json:"ok"`
	Method  string     `json:"method"`          // "CGA" or "HBA"
	Check   string     `json:"check,omitempty"` // the check that failed
	Error   string     `json:"error,omitempty"`
}

// A verified is the JSON result of verify.
type verified struct {
	OK      bool      `json:"ok"`
	Results []verdict `json:"results"`
	Set     string    `json:"set,omitempty"` // why they are not the whole set
}

type verifyFlags struct {
	anyPrefix, set, unassigned bool
}

// checks names what an address can fail, for programs.
var checks = []struct {
	err  error
	name string
}{
	{cga.ErrCollisionCount, "collision-count"},
	{cga.ErrPrefix, "prefix"},
	{cga.ErrNotInSet, "prefix-set"},
	{cga.ErrMultiPrefix, "multi-prefix"},
	{cga.ErrNoMultiPrefix, "multi-prefix"},
	{cga.ErrUnsupportedSec, "sec"},
	{cga.ErrHash1, "hash1"},
	{cga.ErrHash2, "hash2"},
}

func (t *tool) verifyCommand() *cobra.Command {
	var addresses []string
	var params string
	var o verifyFlags
	c := &cobra.Command{
		Use:   "verify",
		Short: "tell whether addresses belong to parameters",
		Long: `verify tells whether addresses belong to a parameter file: as HBAs (RFC 5535) if
it has a Multi-Prefix extension, else as CGAs (RFC 3972). It exits with 1 if one does not.`,
		Example: "  cgatool verify --address 2001:db8:1:2:246c:a7ba:5a48:c469 --params shim6.pds",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case len(addresses) == 0:
				return usagef("--address is missing")
			case params == "":
				return usagef("--params is missing")
			case o.anyPrefix && o.set || o.anyPrefix && o.unassigned || o.set && o.unassigned:
				return usagef("give one of --any-prefix, --set and --allow-unassigned-sec")
			}
			list, err := parseAddresses(addresses)
			if err != nil {
				return err
			}
			t.started = true
			return t.verify(list, params, o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringArrayVar(&addresses, "address", nil, "`address` to verify; may be given again")
	f.StringVar(&params, "params", "", "parameter `file`")
	f.BoolVar(&o.anyPrefix, "any-prefix", false, "take prefix and collision count from the address, as shim6d does")
	f.BoolVar(&o.set, "set", false, "the addresses must be the HBA set, the whole of it")
	f.BoolVar(&o.unassigned, "allow-unassigned-sec", false, "read Sec 3 to 7 as RFC 3972 did before RFC 4982")
	must(c.MarkFlagFilename("params", "pds"))
	return c
}

func parseAddresses(texts []string) ([]netip.Addr, error) {
	var list []netip.Addr
	for _, s := range texts {
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is6() {
			return nil, usagef("%q is not an IPv6 address", s)
		}
		list = append(list, a)
	}
	return list, nil
}

func (t *tool) verify(addresses []netip.Addr, path string, o verifyFlags) error {
	p, err := cga.LoadParams(path)
	if err != nil {
		return err
	}
	result := verified{OK: true}
	method := "CGA"
	if mp, err := p.MultiPrefix(); mp != nil || err != nil {
		method = "HBA"
	}
	for _, a := range addresses {
		v := verdict{Address: a, OK: true, Method: method}
		err, errElsewhere := o.verify(a, p)
		if err != nil {
			result.OK = false
			v.OK, v.Check, v.Error = false, checkName(err), err.Error()
		}
		result.Results = append(result.Results, v)
		switch {
		case t.json:
		case err == nil:
			fmt.Fprintf(t.stdout, "%v: ok\n", a)
		default:
			t.printError(fmt.Errorf("%v does not verify: %w", a, err))
			hint := "the addresses that it proves: cgatool show --params " + path
			if errElsewhere == nil {
				hint = "with its own prefix and collision count it does, see --any-prefix"
			}
			fmt.Fprintln(t.stderr, "hint:", hint)
		}
	}
	if o.set && result.OK {
		if _, err := cga.VerifySet(addresses, p); err != nil {
			result.OK, result.Set = false, err.Error()
			if !t.json {
				t.printError(err)
				fmt.Fprintln(t.stderr, "hint: the whole set:", "cgatool show --params", path)
			}
		}
	}
	if t.json {
		if err := t.printJSON(result); err != nil {
			return err
		}
	}
	if !result.OK {
		return errReported
	}
	return nil
}

// verify checks one address as the flags ask, and with its own prefix and collision count.
func (o verifyFlags) verify(a netip.Addr, p *cga.Params) (err, errElsewhere error) {
	_, errElsewhere = p.For(a)
	switch {
	case o.anyPrefix:
		return errElsewhere, errElsewhere
	case o.set:
		return cga.VerifyHBA(a, p), errElsewhere
	case o.unassigned:
		return p.VerifyUnassigned(a), errElsewhere
	}
	return p.VerifyFor(a), errElsewhere
}

func checkName(err error) string {
	for _, c := range checks {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return ""
}
