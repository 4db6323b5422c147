// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"shim6/internal/cga"
)

// A shown is what show tells about parameters, and its JSON form.
type shown struct {
	Modifier       string            `json:"modifier"`
	Prefix         string            `json:"prefix"`
	CollisionCount uint8             `json:"collision_count"`
	PublicKey      shownKey          `json:"public_key"`
	Extensions     []shownExtension  `json:"extensions"`
	MultiPrefix    *shownMultiPrefix `json:"multi_prefix,omitempty"`
	Hash1          string            `json:"hash1"`
	Hash2          string            `json:"hash2"`
	Sec            uint8             `json:"sec"` // highest that hash2 allows
	Addresses      []netip.Addr      `json:"addresses"`
	Faults         []string          `json:"faults,omitempty"` // why nothing verifies with these parameters
}

type shownKey struct {
	Octets  int    `json:"octets"`
	Bits    int    `json:"bits,omitempty"` // of an RSA key that can sign
	Problem string `json:"problem,omitempty"`
}

type shownExtension struct {
	Type   string `json:"type"`
	Octets int    `json:"octets"`
	Data   string `json:"data"`
}

type shownMultiPrefix struct {
	P        bool     `json:"p"`
	Prefixes []string `json:"prefixes"`
}

func (t *tool) showCommand() *cobra.Command {
	var params string
	c := &cobra.Command{
		Use:     "show",
		Short:   "print the fields of parameters and their addresses",
		Long:    "show prints the fields of a parameter file, its hashes, and the addresses it proves.",
		Example: "  cgatool show --params shim6.pds",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if params == "" {
				return usagef("--params is missing")
			}
			t.started = true
			p, err := cga.LoadParams(params)
			if err != nil {
				return err
			}
			s := describe(p)
			if t.json {
				return t.printJSON(s)
			}
			_, err = fmt.Fprint(t.stdout, s.text())
			return err
		},
	}
	c.Flags().StringVar(&params, "params", "", "parameter `file`")
	return c
}

func describe(p *cga.Params) *shown {
	h1, h2 := p.Hash1(), p.Hash2()
	s := &shown{
		Modifier: fmt.Sprintf("%x", p.Modifier), Prefix: prefixText(p.Prefix), CollisionCount: p.CollisionCount,
		PublicKey: shownKey{Octets: len(p.PublicKey)}, Extensions: []shownExtension{},
		Hash1: fmt.Sprintf("%x", h1), Hash2: fmt.Sprintf("%x", h2), Sec: p.Strength(), Addresses: []netip.Addr{},
	}
	for _, e := range p.Extensions {
		s.Extensions = append(s.Extensions, shownExtension{fmt.Sprintf("0x%04x", e.Type), len(e.Data), fmt.Sprintf("%x", e.Data)})
	}
	prefixes := [][8]byte{p.Prefix}
	mp, err := p.MultiPrefix()
	if err != nil {
		s.Faults = append(s.Faults, err.Error())
	}
	if mp != nil {
		prefixes = mp.Prefixes
		s.MultiPrefix = &shownMultiPrefix{P: mp.P}
		for _, x := range prefixes {
			s.MultiPrefix.Prefixes = append(s.MultiPrefix.Prefixes, prefixText(x))
		}
	}
	if pub, err := cga.ParsePublicKey(p.PublicKey); err == nil {
		s.PublicKey.Bits = pub.N.BitLen()
	} else {
		s.PublicKey.Problem = err.Error()
	}
	if mp != nil && !mp.P {
		s.PublicKey.Bits, s.PublicKey.Problem = 0, "a nonce, not a key: the P flag is not set"
	}
	for _, x := range prefixes {
		q := *p
		q.Prefix = x
		a, err := q.Address(s.Sec)
		if err != nil {
			s.Faults = append(s.Faults, err.Error())
			break
		}
		s.Addresses = append(s.Addresses, a)
	}
	return s
}

func (s *shown) text() string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-16s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("modifier", "%s", s.Modifier)
	row("prefix", "%s", s.Prefix)
	row("collision count", "%d", s.CollisionCount)
	if s.PublicKey.Problem != "" {
		row("public key", "%d octets, %s", s.PublicKey.Octets, s.PublicKey.Problem)
	} else {
		row("public key", "%d octets, RSA of %d bits", s.PublicKey.Octets, s.PublicKey.Bits)
	}
	for _, e := range s.Extensions {
		row("extension", "type %s, %d octets %s", e.Type, e.Octets, e.Data)
	}
	if m := s.MultiPrefix; m != nil {
		row("multi-prefix", "P %t, %s", m.P, strings.Join(m.Prefixes, " "))
	}
	row("hash1", "%s", s.Hash1)
	row("hash2", "%s", s.Hash2)
	row("sec", "%d and lower", s.Sec)
	for _, a := range s.Addresses {
		row("address", "%v", a)
	}
	for _, f := range s.Faults {
		row("fault", "%s", f)
	}
	return b.String()
}
