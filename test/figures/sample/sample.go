// SPDX-License-Identifier: MIT

// Package sample is the statistics of the figures.
package sample

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Mean and standard deviation of a sample; the deviation of a single value is zero.
func Mean(x []float64) (mean, deviation float64) {
	if len(x) == 1 {
		return x[0], 0
	}
	return stat.MeanStdDev(x, nil)
}

// Quantile returns the p-quantile, 0 to 1, of the sample: the smallest value that at least a share p does not exceed.
// It is NaN for no sample.
func Quantile(x []float64, p float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	return stat.Quantile(p, stat.Empirical, sorted(x), nil)
}

// Median returns the middle, the mean of the two of an even number.
func Median(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	s := sorted(x)
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// A Line is a least-squares fit y = Intercept + Slope x.
type Line struct {
	Intercept, Slope float64
	SlopeError       float64 // standard error of Slope
	R2               float64 // share of the variance that the line explains
}

// Fit needs two different x at least; of fewer than three points the error is infinite.
func Fit(x, y []float64) Line {
	var l Line
	l.Intercept, l.Slope = stat.LinearRegression(x, y, nil, false)
	l.R2 = stat.RSquared(x, y, nil, l.Intercept, l.Slope)
	mean := stat.Mean(x, nil)
	var residual, spread float64
	for i := range x {
		residual += math.Pow(y[i]-l.Intercept-l.Slope*x[i], 2)
		spread += math.Pow(x[i]-mean, 2)
	}
	l.SlopeError = math.Inf(1)
	if len(x) > 2 && spread > 0 {
		l.SlopeError = math.Sqrt(residual / float64(len(x)-2) / spread)
	}
	return l
}

// Growth is a slope that does not mind what now and then comes on top: the 10th percentile of y in the second half of x divided by that
// in the first. X must rise.
func Growth(y []float64) float64 {
	const low = 0.1
	n := len(y) / 2
	return Quantile(y[n:], low) / Quantile(y[:n], low)
}

func sorted(x []float64) []float64 {
	s := slices.Clone(x)
	slices.Sort(s)
	return s
}
