// SPDX-License-Identifier: MIT

// Package draw has the parts of the plots.
package draw

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Colours that people with any common colour blindness can tell apart (M. Okabe and K. Ito), in an order whose greys differ, too.
var (
	Black  = color.RGBA{A: 0xff}
	Blue   = color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}
	Orange = color.RGBA{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff}
	Green  = color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff}
	Red    = color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}
	Pink   = color.RGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff}
	Sky    = color.RGBA{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff}
	Grey   = color.RGBA{R: 0x80, G: 0x80, B: 0x80, A: 0xff}
)

// Colors are those of the lines of a plot.
var Colors = []color.RGBA{Blue, Red, Green, Black, Pink, Orange, Sky, Grey}

// Glyphs are those of the points, so that the lines differ without colour.
var Glyphs = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.CrossGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.PlusGlyph{}, draw.BoxGlyph{},
}

// Dashes are those of the lines.
var Dashes = [][]vg.Length{nil, {6, 3}, {2, 2}, {8, 3, 2, 3}, {4, 4}, {1, 3}, {10, 4}, {3, 1}}

// New makes a plot with a grid.
func New(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font.Size = 11
	p.Title.Padding = 4
	p.X.Label.TextStyle.Font.Size, p.Y.Label.TextStyle.Font.Size = 10, 10
	p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = 9, 9
	p.Legend.TextStyle.Font.Size = 9
	p.Legend.Top, p.Legend.Padding = true, 2
	p.Legend.ThumbnailWidth = 26
	p.X.Tick.Marker, p.Y.Tick.Marker = round{}, round{}
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = color.Gray{Y: 0xdd}, color.Gray{Y: 0xee}
	p.Add(g)
	return p
}

// LogX and LogY make an axis logarithmic, with labels at the powers of ten and at those values that are named.
func LogX(p *plot.Plot, named ...float64) {
	p.X.Scale, p.X.Tick.Marker = logScale{}, decades(named)
}

// LogY is LogX for the other axis.
func LogY(p *plot.Plot, named ...float64) {
	p.Y.Scale, p.Y.Tick.Marker = logScale{}, decades(named)
}

// A logScale is plot.LogScale but for the mean of the ends: that is where plot keeps room for the label of an axis, which it then
// draws in the middle. A long label would leave a gap above the axis.
type logScale struct{}

func (logScale) Normalize(least, most, x float64) float64 {
	if x == 0.5*(most+least) {
		return 0.5
	}
	return plot.LogScale{}.Normalize(least, most, x)
}

type decades []float64

func (d decades) Ticks(least, most float64) []plot.Tick {
	var t []plot.Tick
	for _, v := range d {
		if v >= least && v <= most {
			t = append(t, plot.Tick{Value: v, Label: Number(v)})
		}
	}
	labelled := len(t) > 0
	for e := math.Floor(math.Log10(least)); e <= math.Ceil(math.Log10(most)); e++ {
		for m := 1.0; m < 10; m++ {
			v := m * math.Pow(10, e)
			if v < least*(1-1e-9) || v > most*(1+1e-9) {
				continue
			}
			label := ""
			if m == 1 && !labelled {
				label = Number(v)
			}
			t = append(t, plot.Tick{Value: v, Label: label})
		}
	}
	return t
}

// Number prints a number for an axis.
func Number(v float64) string {
	if a := math.Abs(v); a >= 1e6 || a > 0 && a < 1e-4 {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	// Adding zero makes zero of what is written as minus zero.
	return strconv.FormatFloat(math.Round(v*1e6)/1e6+0, 'f', -1, 64)
}

// round puts ticks of a linear axis at multiples of 1, 2 or 5 times a power of ten.
type round struct{}

func (round) Ticks(least, most float64) []plot.Tick {
	if most <= least {
		return nil
	}
	const wanted = 6
	step := math.Pow(10, math.Floor(math.Log10((most-least)/wanted)))
	for _, m := range []float64{2, 2.5, 2} { // 2, 5 and 10 times as much
		if (most-least)/step <= wanted+2 {
			break
		}
		step *= m
	}
	var t []plot.Tick
	for i := math.Ceil(least/step - 1e-9); i*step <= most+step*1e-9; i++ {
		t = append(t, plot.Tick{Value: i * step, Label: Number(i * step)})
	}
	return t
}

// At puts ticks at some values only.
func At(values ...float64) plot.Ticker {
	var t plot.ConstantTicks
	for _, v := range values {
		t = append(t, plot.Tick{Value: v, Label: Number(v)})
	}
	return t
}

// A Series is a line with points and, where Low and High are there, error bars.
type Series struct {
	Name      string
	X, Y      []float64
	Low, High []float64 // ends of the error bars
	Style     int       // which colour, glyph and dashes
	NoPoints  bool
	NoLine    bool
	Width     vg.Length // 0 for the usual
	Hidden    bool      // from the legend
}

// points are X and Y, and the error bars' ends relative to Y.
type points struct{ *Series }

func (s points) Len() int                    { return len(s.X) }
func (s points) XY(i int) (x, y float64)     { return s.X[i], s.Y[i] }
func (s points) YError(i int) (l, h float64) { return s.Y[i] - s.Low[i], s.High[i] - s.Y[i] }

// Add draws series.
func Add(p *plot.Plot, series ...Series) error {
	for i := range series {
		s := &series[i]
		if err := add(p, s); err != nil {
			return fmt.Errorf("line %q: %w", s.Name, err)
		}
	}
	return nil
}

func add(p *plot.Plot, s *Series) error {
	if len(s.X) == 0 {
		return fmt.Errorf("no points")
	}
	c := Colors[s.Style%len(Colors)]
	var thumbs []plot.Thumbnailer
	if !s.NoLine {
		line, err := plotter.NewLine(points{s})
		if err != nil {
			return err
		}
		line.Color, line.Width, line.Dashes = c, 1.3, Dashes[s.Style%len(Dashes)]
		if s.Width > 0 {
			line.Width = s.Width
		}
		p.Add(line)
		thumbs = append(thumbs, line)
	}
	if s.Low != nil {
		bars, err := plotter.NewYErrorBars(points{s})
		if err != nil {
			return err
		}
		bars.Color, bars.Width, bars.CapWidth = c, 0.8, 5
		p.Add(bars)
	}
	if !s.NoPoints {
		dots, err := plotter.NewScatter(points{s})
		if err != nil {
			return err
		}
		dots.Color, dots.Shape, dots.Radius = c, Glyphs[s.Style%len(Glyphs)], 2.8
		if s.NoLine {
			dots.Radius = 1.4 // there are many
		}
		p.Add(dots)
		thumbs = append(thumbs, dots)
	}
	if !s.Hidden && s.Name != "" {
		p.Legend.Add(s.Name, thumbs...)
	}
	return nil
}

// Bars draws one group of bars for each name; groups has the values of a series in the order of the names, and error bars
// where there are any. Values that are not numbers are left out.
func Bars(p *plot.Plot, names []string, series []Series) error {
	const width = 0.8
	each := width / float64(len(series))
	for k := range series {
		s := &series[k]
		c := Colors[s.Style%len(Colors)]
		shown := *s
		shown.X, shown.Y, shown.Low, shown.High = nil, nil, nil, nil
		for i, y := range s.Y {
			if math.IsNaN(y) {
				continue
			}
			x := float64(i) - width/2 + each*(float64(k)+0.5)
			base := 0.0
			if _, ok := p.Y.Scale.(logScale); ok {
				base = p.Y.Min
			}
			box, err := plotter.NewPolygon(plotter.XYs{{X: x - each*0.45, Y: base}, {X: x - each*0.45, Y: y}, {X: x + each*0.45, Y: y}, {X: x + each*0.45, Y: base}})
			if err != nil {
				return fmt.Errorf("bar %q: %w", s.Name, err)
			}
			box.Color, box.LineStyle.Color, box.LineStyle.Width = c, Black, 0.5
			p.Add(box)
			if len(shown.X) == 0 {
				p.Legend.Add(s.Name, box)
			}
			shown.X, shown.Y = append(shown.X, x), append(shown.Y, y)
			if s.Low != nil {
				shown.Low, shown.High = append(shown.Low, math.Max(s.Low[i], base)), append(shown.High, s.High[i])
			}
		}
		if shown.Low != nil && len(shown.X) > 0 {
			bars, err := plotter.NewYErrorBars(points{&shown})
			if err != nil {
				return fmt.Errorf("bar %q: %w", s.Name, err)
			}
			bars.Color, bars.Width, bars.CapWidth = Black, 0.8, 4
			p.Add(bars)
		}
	}
	p.NominalX(names...)
	p.X.Tick.Label.Font.Size = 9
	p.X.Min, p.X.Max = -0.6, float64(len(names))-0.4
	return nil
}

// Resolution of the PNG.
const dpi = 150

// Save writes plots in rows, as path.svg and path.png; width and height are centimetres. The rows have the same height, and the plots of
// a row the same width. No plot gives an empty place.
func Save(path string, width, height float64, rows ...[]*plot.Plot) error {
	w, h := vg.Length(width)*vg.Centimeter, vg.Length(height)*vg.Centimeter
	svg := vgsvg.New(w, h)
	img := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(dpi))
	for _, canvas := range []vg.CanvasSizer{svg, img} {
		for i, row := range rows {
			place(draw.New(canvas), i, len(rows), row)
		}
	}
	if err := write(path+".svg", svg.WriteTo); err != nil {
		return err
	}
	return write(path+".png", vgimg.PngCanvas{Canvas: img}.WriteTo)
}

// place draws row i of n.
func place(c draw.Canvas, i, n int, row []*plot.Plot) {
	const pad = 6
	each := c.Rectangle.Size().Y / vg.Length(n)
	c.Rectangle.Max.Y -= each * vg.Length(i)
	c.Rectangle.Min.Y = c.Rectangle.Max.Y - each
	tiles := draw.Tiles{Rows: 1, Cols: len(row), PadX: 2 * pad, PadTop: pad, PadBottom: pad, PadLeft: pad, PadRight: 2 * pad}
	for j, at := range plot.Align([][]*plot.Plot{row}, tiles, c)[0] {
		if row[j] != nil {
			row[j].Draw(at)
		}
	}
}

func write(path string, to func(io.Writer) (int64, error)) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	if _, err := to(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
