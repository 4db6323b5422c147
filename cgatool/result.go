// SPDX-License-Identifier: MIT

package main

import (
	"encoding/hex"
	"fmt"
	"net/netip"

	"shim6/internal/cga"
)

// A generated is the JSON result of generate.
type generated struct {
	Sec            uint8              `json:"sec"`
	Method         string             `json:"method"` // "CGA", "HBA", or "HBA/CGA" for a set with a key
	Search         string             `json:"search"` // what was varied: "modifier", "nonce" or "extension"
	Engine         string             `json:"engine"` // "none" when nothing had to be searched
	Threads        int                `json:"threads"`
	Trials         uint64             `json:"trials"`
	ElapsedS       float64            `json:"elapsed_s"`
	TrialsPerS     float64            `json:"trials_per_s"`
	Modifier       string             `json:"modifier"`
	CollisionCount uint8              `json:"collision_count"`
	Addresses      []generatedAddress `json:"addresses"`
	KeyFile        string             `json:"key_file,omitempty"`
	Bundle         string             `json:"bundle,omitempty"`
}

type generatedAddress struct {
	Address netip.Addr `json:"address"`
	Prefix  string     `json:"prefix"`
	PDSFile string     `json:"pds_file,omitempty"`
}

// method tells what kind of addresses parameters prove.
func method(p *cga.Params) string {
	switch m, err := p.MultiPrefix(); {
	case err == nil && m == nil:
		return "CGA"
	case err == nil && m.P:
		return "HBA/CGA"
	}
	return "HBA"
}

func (t *tool) printResult(s *search, out *output, r *result) error {
	if t.json {
		return t.printJSON(describeResult(s, out, r))
	}
	for _, path := range []string{out.key, out.params, out.bundle} {
		if path != "" {
			fmt.Fprintf(t.stderr, "cgatool: wrote %s\n", path)
		}
	}
	for _, a := range r.addresses {
		if _, err := fmt.Fprintln(t.stdout, a); err != nil {
			return err
		}
	}
	return nil
}

func describeResult(s *search, out *output, r *result) *generated {
	g := &generated{
		Sec: s.options.Sec, Method: method(r.params), Search: r.search.String(), Engine: r.stats.Engine, Threads: r.stats.Threads,
		Trials: r.stats.Trials, ElapsedS: r.stats.Elapsed.Seconds(), Modifier: hex.EncodeToString(r.params.Modifier[:]),
		CollisionCount: r.params.CollisionCount, KeyFile: s.keyFile, Bundle: out.bundle,
	}
	if g.Engine == "" {
		g.Engine = "none"
	}
	if g.Trials > 0 && g.ElapsedS > 0 {
		g.TrialsPerS = float64(g.Trials) / g.ElapsedS
	}
	if out.key != "" {
		g.KeyFile = out.key
	}
	file := out.params
	if out.bundle != "" {
		file = out.name + ".pds"
	}
	for i, a := range r.addresses {
		g.Addresses = append(g.Addresses, generatedAddress{a, prefixText(s.prefixes[i]), file})
	}
	return g
}
