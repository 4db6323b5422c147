// SPDX-License-Identifier: MIT

package fig10

import (
	"os"
	"path/filepath"
	"testing"

	"shim6/test/figures/figure"
	"shim6/test/lab/report"
)

func points(first, n int, micros func(i int) float64) []point {
	var list []point
	for i := first; i < first+n; i++ {
		list = append(list, point{float64(i), micros(i)})
	}
	return list
}

func TestGates(t *testing.T) {
	still := func(i int) float64 { return 800 + float64(i%7) }
	spikes := func(i int) float64 { // a collector's run is no growth
		if i%50 == 0 {
			return 5000
		}
		return still(i)
	}
	rising := func(i int) float64 { return 800 + float64(i)/20 }
	memory := []report.Footprint{{Daemon: 10e6, Kernel: 20e6}, {Contexts: 1000, Daemon: 12e6, Kernel: 24e6}, {Contexts: 5000, Daemon: 20e6, Kernel: 40e6}}
	for name, tc := range map[string]struct {
		slow, fast func(int) float64
		memory     []report.Footprint
		ok         [3]bool
	}{
		"flat":      {still, still, memory, [3]bool{true, true, true}},
		"spikes":    {still, spikes, memory, [3]bool{true, true, true}},
		"rising":    {still, rising, memory, [3]bool{true, false, true}},
		"no memory": {still, still, []report.Footprint{memory[0], memory[1], memory[0]}, [3]bool{true, true, false}},
	} {
		r := new(figure.Result)
		judge(r, points(1, 1000, tc.slow), points(1001, 4000, tc.fast), tc.memory)
		for i, g := range r.Gates {
			if g.OK != tc.ok[i] {
				t.Errorf("%s: gate %s holds: %v, %s", name, g.Name, g.OK, g.Measured)
			}
		}
		if len(r.Gates) != 3 {
			t.Errorf("%s: %d gates", name, len(r.Gates))
		}
	}
}

func TestRead(t *testing.T) {
	for content, want := range map[string]int{"1,1500\n2,2000\n": 2, "": 0, "1\n": -1, "1,x\n": -1, "x,1\n": -1} {
		path := filepath.Join(t.TempDir(), "i2.csv")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := read(path)
		if want < 0 {
			if err == nil {
				t.Errorf("%q was read", content)
			}
			continue
		}
		if err != nil || len(got) != want {
			t.Errorf("%q: %v, %v", content, got, err)
		}
		if want == 2 && got[1] != (point{2, 2}) {
			t.Errorf("second point %+v", got[1])
		}
	}
}
