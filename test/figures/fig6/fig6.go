// SPDX-License-Identifier: MIT

// Package fig6 measures how long the addresses of a host take to make.
package fig6

import (
	"context"
	"crypto/rsa"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"shim6/internal/cga"
	"shim6/test/figures/figure"
	"shim6/test/figures/sample"
)

// Figure is the paper's Figure 6.
var Figure = figure.Figure{
	Name:  "fig6",
	Title: "Time to make the addresses of a host",
	Setup: "Two addresses were made 100 times on four AMD Opteron 8431 (24 cores of 2.4 GHz), as CGAs, as an HBA set and as an HBA set that " +
		"is CGA-compatible, for Sec 1 and 2, by 1 and by 8 threads; mean times on a logarithmic scale. The key has 1024 bits.",
	Claim: "Sec 1 takes fractions of a second and Sec 2 hours; eight threads are slightly slower than one for Sec 1 and much faster for Sec 2; the " +
		"time of CGAs is linear in the number of addresses, that of an HBA set nearly independent of it.",
	Run: run,
}

const (
	keyBits  = 1024
	paperSet = 2 // addresses
	asked    = 8 // threads, beside one
	// repeats of a search that is the same each time; the shortest counts, for other work on the machine only ever adds.
	repeats = 9
	// noise is what eight threads may take longer than one, by mistakes of the measurement.
	noise = 1.05
)

var counts = []int{1, 2, 5, 10, 20}

// A kind is a way to make addresses.
type kind struct {
	name string
	// options of each search that n addresses need, from an unpredictable start
	searches func(m *maker, sec uint8, n int) []cga.GenerateOptions
}

var (
	hba = kind{"HBA", func(m *maker, sec uint8, n int) []cga.GenerateOptions {
		o := m.options(sec, n)
		o.Set, o.Nonce, o.PublicKey, o.Field = m.prefixes[:n], true, cga.NewNonce(), cga.FieldNonce
		return []cga.GenerateOptions{o}
	}}
	compatible = kind{"HBA, CGA-compatible", func(m *maker, sec uint8, n int) []cga.GenerateOptions {
		o := m.options(sec, n)
		o.Set = m.prefixes[:n]
		return []cga.GenerateOptions{o}
	}}
	// RFC 3972 section 4 makes one address; the original made each by itself.
	single = kind{"CGA", func(m *maker, sec uint8, n int) []cga.GenerateOptions {
		var list []cga.GenerateOptions
		for range n {
			list = append(list, m.options(sec, n))
		}
		return list
	}}
	// Hash2 leaves the prefix out, so that one modifier serves all: what cgatool does.
	shared = kind{"CGA, one modifier for all", func(m *maker, sec uint8, n int) []cga.GenerateOptions {
		return []cga.GenerateOptions{m.options(sec, n)}
	}}
	paperKinds = []kind{hba, compatible, single}
)

// A maker has what addresses are made from.
type maker struct {
	spki     []byte
	prefixes [][8]byte
	rng      *rand.Rand
}

func newMaker(key *rsa.PrivateKey, seed uint64) (*maker, error) {
	m := &maker{rng: rand.New(rand.NewPCG(seed, 6))}
	var err error
	if m.spki, err = cga.MarshalPublicKey(&key.PublicKey); err != nil {
		return nil, err
	}
	for i := range counts[len(counts)-1] {
		m.prefixes = append(m.prefixes, [8]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(i)})
	}
	return m, nil
}

func (m *maker) options(sec uint8, _ int) cga.GenerateOptions {
	var start [16]byte
	for i := range start {
		start[i] = byte(m.rng.Uint32())
	}
	return cga.GenerateOptions{PublicKey: m.spki, Prefix: m.prefixes[0], Sec: sec, Modifier: &start}
}

// A trial is the making of some addresses, once.
type trial struct {
	tries []float64       // candidates up to the good one, of each search
	took  []time.Duration // of each search, with the addresses that are made of it
	used  int             // threads
}

// total is the time of all searches together.
func (t *trial) total() (sum time.Duration) {
	for _, d := range t.took {
		sum += d
	}
	return sum
}

// make makes addresses for n prefixes.
func (m *maker) make(ctx context.Context, list []cga.GenerateOptions, n, threads int) (trial, error) {
	var t trial
	for i, o := range list {
		start := time.Now()
		o.Threads = threads
		s, err := cga.NewSearch(o)
		if err != nil {
			return t, err
		}
		p, err := s.Run(ctx)
		if err != nil {
			return t, err
		}
		// The addresses, each with the prefix that is its turn.
		for j := i; j < n; j += len(list) {
			q := *p
			q.Prefix = m.prefixes[j]
			if _, err := q.Address(o.Sec); err != nil {
				return t, err
			}
		}
		t.took = append(t.took, time.Since(start))
		t.tries = append(t.tries, tries(s, p))
		t.used = max(t.used, s.Stats().Threads)
	}
	return t, nil
}

// tries counts the candidates from the start of a search to what it found.
func tries(s *cga.Search, p *cga.Params) float64 {
	job := s.Job()
	if job.Zeros == 0 {
		return 1
	}
	q := *p
	q.Prefix, q.CollisionCount = [8]byte{}, 0
	return distance(job.Input, q.Marshal(), job.Field.Offset, job.Field.Len) + 1
}

// distance is how far one input of a search is from another. The field of no length is the modifier; another field has the last
// two bits of the modifier as its lowest digits.
func distance(from, to []byte, offset, length int) float64 {
	const modifier = 16
	if length == 0 {
		offset, length = 0, modifier
	}
	d := minus(to[offset:offset+length], from[offset:offset+length])
	if offset > modifier {
		d = d*4 + float64(to[modifier-1]&3) - float64(from[modifier-1]&3)
	}
	return d
}

// minus subtracts big-endian numbers that wrap.
func minus(a, b []byte) float64 {
	difference, borrow := make([]byte, len(a)), 0
	for i := len(a) - 1; i >= 0; i-- {
		d := int(a[i]) - int(b[i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		difference[i] = byte(d)
	}
	sum := 0.0
	for _, x := range difference {
		sum = sum*256 + float64(x)
	}
	return sum
}

// A row is some trials of the same work.
type row struct {
	kind            string
	sec             uint8
	threads, used   int
	addresses       int
	trials          int
	mean, deviation float64 // seconds
	tries           []float64
	took            []float64
	expected        float64 // seconds, at the highest rate seen; zero where trials tell
}

// settle computes the mean of a row.
func (r *row) settle() {
	r.trials = len(r.took)
	if r.trials > 0 {
		r.mean, r.deviation = sample.Mean(r.took)
	}
}

// normal is the time that the row's searches would take if each had the average number of tries: chance is out of it.
func (r *row) normal() float64 {
	tries, took := 0.0, 0.0
	for _, x := range r.tries {
		tries += x
	}
	for _, x := range r.took {
		took += x
	}
	return took / tries * float64(len(r.tries)) / float64(len(r.took)) * average(r.sec)
}

// average number of tries (RFC 3972 section 4: 16*Sec leading zero bits).
func average(sec uint8) float64 { return math.Pow(2, 16*float64(sec)) }

// add makes the same addresses with each number of threads, several times, and keeps the shortest time of each search.
func (m *maker) add(ctx context.Context, k kind, repeats int, rows ...*row) error {
	list := k.searches(m, rows[0].sec, rows[0].addresses)
	best := make([]trial, len(rows))
	for range repeats {
		for i, r := range rows {
			t, err := m.make(ctx, list, r.addresses, r.threads)
			if err != nil {
				return err
			}
			if best[i].took == nil {
				best[i] = t
			}
			for k, d := range t.took {
				best[i].took[k] = min(best[i].took[k], d)
			}
		}
	}
	for i, r := range rows {
		r.took = append(r.took, best[i].total().Seconds())
		r.tries = append(r.tries, best[i].tries...)
		r.used = best[i].used
	}
	return nil
}

func run(e *figure.Env, r *figure.Result) error {
	key, err := cga.NewKey(keyBits)
	if err != nil {
		return err
	}
	m, err := newMaker(key, 1)
	if err != nil {
		return err
	}
	rows, err := m.sec1(e)
	if err != nil {
		return err
	}
	plain, err := m.plain(e, r)
	if err != nil {
		return err
	}
	two, err := m.sec2(e)
	if err != nil {
		return err
	}
	rows = append(append(rows, plain), two...)
	sweep, err := m.sweep(e)
	if err != nil {
		return err
	}
	gates(r, rows, sweep)
	notes(r, rows)
	if err := save(e, append(rows, sweep...)); err != nil {
		return err
	}
	return plots(e, rows, sweep)
}

// sec1 has all kinds, by one and by eight threads.
func (m *maker) sec1(e *figure.Env) ([]*row, error) {
	const trials = 100
	var rows []*row
	for _, k := range paperKinds {
		one := &row{kind: k.name, sec: 1, threads: 1, addresses: paperSet}
		many := &row{kind: k.name, sec: 1, threads: asked, addresses: paperSet}
		for range trials {
			if err := m.add(e.Context, k, repeats, one, many); err != nil {
				return nil, err
			}
		}
		for _, x := range []*row{one, many} {
			x.settle()
			e.Say("Sec 1, %s, %d threads: %.3g ms on average, %.3g ms standard deviation, %d trials", x.kind, x.threads, 1e3*x.mean, 1e3*x.deviation, x.trials)
		}
		rows = append(rows, one, many)
	}
	return rows, nil
}

// sweep has the kinds for several numbers of addresses.
func (m *maker) sweep(e *figure.Env) ([]*row, error) {
	trials := figure.Pick(e, 20, 60)
	var rows []*row
	for _, n := range counts {
		for _, k := range append(paperKinds, shared) {
			x := &row{kind: k.name, sec: 1, threads: 1, addresses: n}
			for range trials {
				if err := m.add(e.Context, k, repeats, x); err != nil {
					return nil, err
				}
			}
			x.settle()
			rows = append(rows, x)
		}
		e.Say("Sec 1, %d addresses: done", n)
	}
	return rows, nil
}

func save(e *figure.Env, rows []*row) error {
	f := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	var lines [][]string
	for _, r := range rows {
		mean, deviation, tries := "", "", ""
		if r.trials > 0 {
			mean, deviation = f(r.mean), f(r.deviation)
			m, _ := sample.Mean(r.tries)
			tries = f(m)
		}
		expected := ""
		if r.expected > 0 {
			expected = f(r.expected)
		}
		lines = append(lines, []string{
			r.kind, strconv.Itoa(int(r.sec)), strconv.Itoa(r.threads), strconv.Itoa(r.used), strconv.Itoa(r.addresses), strconv.Itoa(r.trials),
			mean, deviation, tries, expected,
		})
	}
	return e.SaveCSV([]string{
		"kind", "sec", "threads_asked", "threads_used", "addresses", "trials", "mean_s", "deviation_s", "mean_tries_per_search", "expected_s",
	}, lines)
}

func find(rows []*row, kind string, sec uint8, threads, addresses int) *row {
	for _, r := range rows {
		if r.kind == kind && r.sec == sec && r.threads == threads && r.addresses == addresses {
			return r
		}
	}
	panic(fmt.Sprintf("no row of %s, Sec %d, %d threads, %d addresses", kind, sec, threads, addresses))
}
