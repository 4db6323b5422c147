// SPDX-License-Identifier: MIT

// Package chart draws how fast transfers went.
package chart

import (
	"fmt"
	"image/color"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A Run is one line of the chart.
type Run struct {
	Name     string
	Interval time.Duration
	Octets   []int64 // that arrived in each interval
	Color    color.Color
	Dashed   bool
}

// Colours that people with red-green blindness can tell apart.
var (
	Blue   = color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}
	Orange = color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}
)

// Throughput writes a PNG of the runs, with the moment of the failure marked.
func Throughput(path, title string, failure time.Duration, runs ...Run) error {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text = "seconds since the transfer began"
	p.Y.Label.Text = "received, Mbit/s"
	p.Y.Min, p.X.Min = 0, 0
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	top := 0.0
	for _, r := range runs {
		points := r.points()
		for _, xy := range points {
			top = max(top, xy.Y)
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return fmt.Errorf("chart, %s: %w", r.Name, err)
		}
		line.Color, line.Width, line.StepStyle = r.Color, vg.Points(1.6), plotter.PostStep
		if r.Dashed {
			line.Dashes = []vg.Length{vg.Points(6), vg.Points(3)}
		}
		p.Add(line)
		p.Legend.Add(r.Name, line)
	}
	// Room above the lines keeps the legend clear of them.
	p.Y.Max = top * 1.3
	if err := mark(p, failure); err != nil {
		return err
	}
	if err := p.Save(24*vg.Centimeter, 11*vg.Centimeter, path); err != nil {
		return fmt.Errorf("chart %s: %w", path, err)
	}
	return nil
}

func (r Run) points() plotter.XYs {
	points := make(plotter.XYs, len(r.Octets))
	for i, n := range r.Octets {
		points[i].X = (time.Duration(i) * r.Interval).Seconds()
		points[i].Y = float64(n) * 8 / 1e6 / r.Interval.Seconds()
	}
	return points
}

// mark draws the failure as an upright line with its name.
func mark(p *plot.Plot, failure time.Duration) error {
	x := failure.Seconds()
	line, err := plotter.NewLine(plotter.XYs{{X: x, Y: 0}, {X: x, Y: p.Y.Max}})
	if err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	line.Width = vg.Points(1.2)
	label, err := plotter.NewLabels(plotter.XYLabels{
		XYs:    []plotter.XY{{X: x, Y: p.Y.Max}},
		Labels: []string{"provider 1 fails"},
	})
	if err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	label.TextStyle[0].YAlign = draw.YTop
	label.Offset = vg.Point{X: vg.Points(4), Y: vg.Points(-3)}
	p.Add(line, label)
	return nil
}
