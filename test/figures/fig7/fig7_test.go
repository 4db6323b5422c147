// SPDX-License-Identifier: MIT

package fig7

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shim6/internal/cga"
	"shim6/test/figures/figure"
)

// ideal has every kind of negotiation, with the times that are to be expected.
func ideal(change func(*row)) []*row {
	var rows []*row
	for i, m := range methods() {
		for _, n := range addresses {
			for _, cached := range []bool{true, false} {
				if !cached && !m.signs() {
					continue
				}
				x := &row{method: m, addresses: n, cached: cached, ms: []float64{1, 1.1, 0.9}}
				if m.signs() {
					x.ms = []float64{float64(i)}
				}
				change(x)
				rows = append(rows, x)
			}
		}
	}
	return rows
}

func TestGatesFail(t *testing.T) {
	times := func(name string, n int, by float64) func(*row) {
		return func(x *row) {
			if x.method.name == name && (n == 0 || x.addresses == n) && x.cached {
				for i := range x.ms {
					x.ms[i] *= by
				}
			}
		}
	}
	for name, tc := range map[string]struct {
		change func(*row)
		fails  []string
	}{
		"nothing":        {func(*row) {}, nil},
		"slow HBA":       {times("HBA", 0, 1.3), []string{"HBA"}},
		"many addresses": {times("HBA-compatible", 10, 1.4), []string{"number of addresses"}},
		"short key slow": {times("CGA 1024", 2, 3), []string{"RSA length, 2 addresses, signatures made ahead"}},
	} {
		r := new(figure.Result)
		judge(r, ideal(tc.change))
		var failed []string
		for _, g := range r.Gates {
			if !g.OK {
				failed = append(failed, g.Name)
			}
		}
		if !slices.Equal(failed, tc.fails) {
			t.Errorf("%s: gates %v fail, want %v", name, failed, tc.fails)
		}
	}
}

// What hosts are given proves their locators: a whole HBA set, or CGAs.
func TestHosts(t *testing.T) {
	key, err := cga.NewKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range methods()[:4] {
		h, err := makeHost(t.Context(), &row{method: m, addresses: 5, cached: true}, key, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.Locators) != 5 || h.Trust != m.trust || h.Late {
			t.Errorf("%s: %+v", m.name, h)
		}
		for _, l := range h.Locators {
			p, err := cga.ParseParams(l.PDS)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.VerifyFor(l.Addr); err != nil {
				t.Errorf("%s: %v: %v", m.name, l.Addr, err)
			}
			if err := cga.VerifyHBA(l.Addr, p); (err == nil) != m.set {
				t.Errorf("%s: %v is in an HBA set: %v", m.name, l.Addr, err)
			}
			if l.Key != m.signs() {
				t.Errorf("%s: the key signs: %v", m.name, l.Key)
			}
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n.csv")
	for content, want := range map[string]string{"1000000\n2500000\n": "", "1\n": "has 1 negotiations, want 2", "1\nx\n": "line 2", "refused: too long\n": "refused too long"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		ms, refused, err := read(path, 2)
		if why, ok := strings.CutPrefix(want, "refused "); ok {
			if refused != why || err != nil {
				t.Errorf("%q: refused %q, %v", content, refused, err)
			}
			continue
		}
		if want == "" && (err != nil || ms[1] != 2.5) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, %v", content, ms, err)
		}
	}
}
