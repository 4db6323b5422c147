// SPDX-License-Identifier: MIT

package sample

import (
	"math"
	"testing"
)

func TestMean(t *testing.T) {
	for name, tc := range map[string]struct {
		x         []float64
		mean, dev float64
	}{
		"one":   {[]float64{3}, 3, 0},
		"some":  {[]float64{2, 4, 4, 4, 5, 5, 7, 9}, 5, math.Sqrt(32.0 / 7)},
		"equal": {[]float64{1, 1, 1}, 1, 0},
	} {
		if m, d := Mean(tc.x); math.Abs(m-tc.mean) > 1e-12 || math.Abs(d-tc.dev) > 1e-12 {
			t.Errorf("%s: %g, %g; want %g, %g", name, m, d, tc.mean, tc.dev)
		}
	}
}

func TestQuantiles(t *testing.T) {
	// 1 to 45 in another order, as many as the paper's runs.
	var x []float64
	for i := range 45 {
		x = append(x, float64((i*7)%45+1))
	}
	for p, want := range map[float64]float64{0.05: 3, 0.5: 23, 0.95: 43, 1: 45} {
		if got := Quantile(x, p); got != want {
			t.Errorf("quantile %g is %g, want %g", p, got, want)
		}
	}
	if got := Median(x); got != 23 {
		t.Errorf("median %g, want 23", got)
	}
	if got := Median([]float64{4, 1, 3, 2}); got != 2.5 {
		t.Errorf("median of four is %g, want 2.5", got)
	}
	if x[0] != 1 || x[1] != 8 {
		t.Error("the sample was put in order")
	}
	if !math.IsNaN(Median(nil)) || !math.IsNaN(Quantile(nil, 0.5)) || !math.IsNaN(Growth(nil)) {
		t.Error("an empty sample has a median")
	}
}

func TestFit(t *testing.T) {
	l := Fit([]float64{1, 2, 3, 4}, []float64{5, 7, 9, 11})
	if math.Abs(l.Slope-2) > 1e-12 || math.Abs(l.Intercept-3) > 1e-12 || l.SlopeError > 1e-9 || l.R2 < 1-1e-12 {
		t.Errorf("%+v, want slope 2 and intercept 3 without error", l)
	}
	l = Fit([]float64{1, 2, 3, 4}, []float64{1, 3, 2, 4.5})
	if math.Abs(l.Slope-0.95) > 1e-12 {
		t.Errorf("slope %g, want 0.95", l.Slope)
	}
	if l := Fit([]float64{1, 2}, []float64{1, 2}); !math.IsInf(l.SlopeError, 1) {
		t.Errorf("two points give a slope with the error %g", l.SlopeError)
	}
}

func TestGrowth(t *testing.T) {
	var flat, rising, busy []float64
	for i := range 1000 {
		flat = append(flat, 2+float64(i%3)/100)
		// At the end something else has the processor as well.
		busy = append(busy, flat[i]*float64(1+i/850))
		rising = append(rising, 2+2*float64(i)/1000)
	}
	if g := Growth(flat); math.Abs(g-1) > 0.01 {
		t.Errorf("flat: %g", g)
	}
	if g := Growth(busy); math.Abs(g-1) > 0.01 {
		t.Errorf("busy: %g", g)
	}
	if g := Growth(rising); g < 1.4 || g > 1.6 {
		t.Errorf("rising: %g", g)
	}
}
