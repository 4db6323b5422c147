// SPDX-License-Identifier: MIT

package draw

import (
	"bytes"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", math.Copysign(0, -1): "0", 25: "25", 0.1 + 0.2: "0.3", 1e5: "100000", 1e-5: "1e-05", 1e7: "1e+07", -2.5: "-2.5",
	} {
		if got := Number(v); got != want {
			t.Errorf("%g is %q, want %q", v, got, want)
		}
	}
}

func labels(ticks []plot.Tick) []string {
	var l []string
	for _, x := range ticks {
		if x.Label != "" {
			l = append(l, x.Label)
		}
	}
	return l
}

func TestTicks(t *testing.T) {
	for name, tc := range map[string]struct {
		of    plot.Ticker
		a, b  float64
		wants []string
	}{
		"linear":      {round{}, 0, 7, []string{"0", "1", "2", "3", "4", "5", "6", "7"}},
		"linear wide": {round{}, 0, 29.5, []string{"0", "5", "10", "15", "20", "25"}},
		"decades":     {decades(nil), 0.05, 20, []string{"0.1", "1", "10"}},
		"named":       {decades{1, 5, 600}, 1, 600, []string{"1", "5", "600"}},
		"nothing":     {round{}, 3, 3, nil},
	} {
		if d := cmp.Diff(tc.wants, labels(tc.of.Ticks(tc.a, tc.b))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestSave(t *testing.T) {
	p := New("title", "x", "y")
	if err := Add(p, Series{Name: "line", X: []float64{1, 2}, Y: []float64{3, 4}, Low: []float64{2, 3}, High: []float64{4, 5}}); err != nil {
		t.Fatal(err)
	}
	if err := Add(p, Series{Name: "empty"}); err == nil {
		t.Error("a line of no points was drawn")
	}
	bars := New("bars", "", "")
	LogY(bars)
	bars.Y.Min, bars.Y.Max = 0.1, 10
	if err := Bars(bars, []string{"a", "b"}, []Series{{Name: "bar", Y: []float64{1, math.NaN()}, Low: []float64{0, 0}, High: []float64{2, 0}}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "fig")
	if err := Save(path, 10, 10, []*plot.Plot{p}, []*plot.Plot{bars, nil}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path + ".png")
	if err != nil {
		t.Fatal(err)
	}
	if img, err := png.DecodeConfig(bytes.NewReader(raw)); err != nil || img.Width != 591 || img.Height != 591 { // 10 cm at 150 dots an inch
		t.Errorf("picture %+v, %v", img, err)
	}
	if raw, err = os.ReadFile(path + ".svg"); err != nil || !bytes.Contains(raw, []byte("<svg")) {
		t.Errorf("%v: %.80s", err, raw)
	}
}

// A long label beside a logarithmic axis takes no room above it.
func TestLogarithmicAxesLeaveNoGap(t *testing.T) {
	p := New("title", "x", "a label that is nearly as long as the axis")
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0.1, 1000
	LogY(p)
	c := draw.NewCanvas(vgimg.New(400, 300), 400, 300)
	if gap := c.Max.Y - p.DataCanvas(c).Max.Y; gap > 30 {
		t.Errorf("%.0f points above the axis, a title of 11 needs less", gap)
	}
}
