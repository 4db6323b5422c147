// SPDX-License-Identifier: MIT

package search

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// Measure compares what it is asked to, the loop with itself at a ratio of one.
func TestMeasure(t *testing.T) {
	data, f := ExtensionField(187)
	j := Job{Input: random(30, 187), Zeros: 32}
	extended := Job{Input: random(30, 187+extensionHead+data), Zeros: 32, Field: f}
	contests := []Contest{{j, Loop, 1}, {extended, Loop, 1}}
	for _, e := range Engines() {
		contests = append(contests, Contest{j, e, 1}, Contest{extended, e, 1})
	}
	all, err := Measure(t.Context(), contests, 100*time.Microsecond, 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range all {
		if m.Engine != contests[i].Engine || m.TrialsPerSec <= 0 || m.Ratio <= 0 {
			t.Errorf("%+v", m)
		}
		if m.Engine == Loop && m.Threads == 1 && m.Ratio != 1 {
			t.Errorf("the loop has a ratio of %g to itself", m.Ratio)
		}
		want := 4
		if m.Job.Field == f && m.Engine != Loop {
			want = 1
		}
		if m.Compressions != want {
			t.Errorf("%s: %d compressions, want %d", m.Engine, m.Compressions, want)
		}
	}
}

func TestMeasureErrors(t *testing.T) {
	j := Job{Input: random(31, 187), Zeros: 32}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, []Contest{{j, Generic, 1}}, time.Millisecond, time.Hour); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	for _, c := range []Contest{{j, "abacus", 1}, {j, Generic, 0}, {j, Generic, 1 << 20}, {Job{}, Generic, 1}} {
		if _, err := Measure(t.Context(), []Contest{c}, time.Millisecond, time.Millisecond); err == nil {
			t.Errorf("%s, %d threads: no error", c.Engine, c.Threads)
		}
	}
}

// BenchmarkRatio is one interleaved comparison of all engines, for each key size and way to search.
func BenchmarkRatio(b *testing.B) {
	for _, tt := range []struct {
		name string
		n    int
	}{{"hba-only-2", 127}, {"rsa-1024", 187}, {"rsa-2048", 319}, {"rsa-3072", 447}, {"rsa-4096", 575}} {
		data, extension := ExtensionField(tt.n)
		ways := []struct {
			name string
			job  Job
		}{
			{"modifier", Job{Input: random(32, tt.n), Zeros: 32}},
			{"extension", Job{Input: random(32, tt.n+extensionHead+data), Zeros: 32, Field: extension}},
		}
		if f, ok := FreeField(50, 98); ok && tt.n == 127 {
			ways = append(ways, ways[0])
			ways[2].name, ways[2].job.Field = "key", f
		}
		for _, way := range ways {
			var contests []Contest
			for _, e := range Engines() {
				for threads := 1; threads <= min(2, runtime.GOMAXPROCS(0)); threads++ {
					contests = append(contests, Contest{way.job, e, threads})
				}
			}
			var all []Measurement
			b.Run(tt.name+"/"+way.name, func(b *testing.B) {
				for range b.N {
					var err error
					if all, err = Measure(b.Context(), contests, 500*time.Microsecond, 300*time.Millisecond); err != nil {
						b.Fatal(err)
					}
				}
				for _, m := range all {
					unit := fmt.Sprintf("%s-x%d", m.Engine, m.Threads)
					b.ReportMetric(m.TrialsPerSec/1e6, unit+"-Mtrial/s")
					b.ReportMetric(m.Ratio, unit+"-ratio")
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkSec1 searches 16 zero bits from a new start each time.
func BenchmarkSec1(b *testing.B) {
	for _, e := range Engines() {
		for threads := 1; threads <= runtime.GOMAXPROCS(0); threads *= 2 {
			b.Run(fmt.Sprintf("%s/threads-%d", e, threads), func(b *testing.B) {
				in := random(33, 187)
				for range b.N {
					advance(in[:8], 1)
					s, err := New(Job{Input: in, Zeros: 16}, Options{Engine: e, Threads: threads})
					if err != nil {
						b.Fatal(err)
					}
					if _, err := s.Run(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
