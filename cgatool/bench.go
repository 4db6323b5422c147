// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/rsa"
	"fmt"
	"math/big"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shim6/internal/cga"
	engines "shim6/internal/cga/search"
)

const (
	benchBurst = 500 * time.Microsecond
	nonceBits  = 384
	// benchSec has so many zero bits that no hit disturbs a measurement.
	benchSec = 4
)

type benchFlags struct {
	bits     []int
	threads  int
	extend   bool
	hba      bool
	duration time.Duration
}

// A benched is an entry of the JSON result of bench.
type benched struct {
	Engine         string  `json:"engine"`
	KeyBits        int     `json:"key_bits"`
	Search         string  `json:"search"`
	Compressions   int     `json:"compressions"` // of SHA-1 for each trial
	Threads        int     `json:"threads"`
	TrialsPerS     float64 `json:"trials_per_s"`
	RatioToGeneric float64 `json:"ratio_to_generic"`   // to one thread of the generic engine that varies the modifier
	RatioToLoop    float64 `json:"ratio_to_sha1_loop"` // to a loop that hashes the whole input for each trial
}

func (t *tool) benchCommand() *cobra.Command {
	var o benchFlags
	c := &cobra.Command{
		Use:   "bench",
		Short: "compare the search engines of this machine",
		Long: `bench measures how many candidates each search engine of this machine tries in a
second. All engines take turns in short bursts, and the fastest burst of each counts.`,
		Example: "  cgatool bench --bits 1024 --threads 0 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, n := range o.bits {
				if n < cga.MinKeyBits || n > cga.MaxKeyBits {
					return usagef("--bits is %d to %d, not %d", cga.MinKeyBits, cga.MaxKeyBits, n)
				}
			}
			most := runtime.GOMAXPROCS(0)
			switch {
			case o.threads < 0 || o.threads > most:
				return usagef("--threads is 0 to %d, the processors of this machine, not %d", most, o.threads)
			case o.duration <= 0:
				return usagef("--duration %v is not positive", o.duration)
			case o.threads == 0:
				o.threads = most
			}
			t.started = true
			return t.bench(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.IntSliceVar(&o.bits, "bits", []int{1024, 2048, 3072, 4096}, "sizes of the RSA key in `bits`, separated by commas")
	f.IntVar(&o.threads, "threads", 1, "use `n` processors, 0 for all")
	f.BoolVar(&o.extend, "search-extension", false, "measure the search in an added extension too")
	f.BoolVar(&o.hba, "hba", false, "measure HBA sets of two prefixes without a key too")
	f.DurationVar(&o.duration, "duration", time.Second, "measure each key size for this `time`")
	return c
}

func (t *tool) bench(ctx context.Context, o benchFlags) error {
	rows := []benched{}
	sizes := o.bits
	if o.hba {
		sizes = append(sizes, nonceBits)
	}
	for _, n := range sizes {
		more, err := measure(ctx, n, o)
		if err != nil {
			return err
		}
		rows = append(rows, more...)
	}
	if t.json {
		return t.printJSON(rows)
	}
	_, err := fmt.Fprint(t.stdout, benchText(rows))
	return err
}

// benchOptions say what to search with a key of that size, or with a nonce and two prefixes, and in which fields. Whether
// anybody knows the factors of the key makes no difference.
func benchOptions(bits int, extend bool) (cga.GenerateOptions, []cga.Field, error) {
	o := cga.GenerateOptions{Sec: benchSec, UnassignedSec: true}
	fields := []cga.Field{cga.FieldModifier}
	if bits == nonceBits {
		o.PublicKey, o.Nonce, o.Set = cga.NewNonce(), true, [][8]byte{{}, {1}}
		fields = append(fields, cga.FieldNonce)
	} else {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits))
		spki, err := cga.MarshalPublicKey(&rsa.PublicKey{N: n.Sub(n, big.NewInt(1)), E: 65537})
		if err != nil {
			return o, nil, err
		}
		o.PublicKey = spki
	}
	if extend {
		fields = append(fields, cga.FieldExtension)
	}
	return o, fields, nil
}

// measure compares all engines on the fields of one structure.
func measure(ctx context.Context, bits int, flags benchFlags) ([]benched, error) {
	o, fields, err := benchOptions(bits, flags.extend)
	if err != nil {
		return nil, err
	}
	var contests []engines.Contest
	var names []string
	for _, f := range fields {
		o.Field = f
		s, err := cga.NewSearch(o)
		if err != nil {
			return nil, err
		}
		if f == cga.FieldModifier {
			contests = []engines.Contest{{Job: s.Job(), Engine: engines.Loop, Threads: 1}, {Job: s.Job(), Engine: engines.Generic, Threads: 1}}
		}
		for _, e := range engines.Engines() {
			contests = append(contests, engines.Contest{Job: s.Job(), Engine: e, Threads: flags.threads})
			names = append(names, f.String())
		}
	}
	all, err := engines.Measure(ctx, contests, benchBurst, flags.duration)
	if err != nil {
		return nil, err
	}
	loop, generic, all := all[0].TrialsPerSec, all[1].TrialsPerSec, all[2:]
	var rows []benched
	for i, m := range all {
		rows = append(rows, benched{
			Engine: m.Engine, KeyBits: bits, Search: names[i], Compressions: m.Compressions, Threads: m.Threads,
			TrialsPerS: m.TrialsPerSec, RatioToGeneric: m.TrialsPerSec / generic, RatioToLoop: m.TrialsPerSec / loop,
		})
	}
	return rows, nil
}

func benchText(rows []benched) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY BITS\tSEARCH\tENGINE\tTHREADS\tCOMPRESSIONS\tMILLION/S\tTO GENERIC\tTO SHA-1 LOOP")
	for _, r := range rows {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%.2f\t%.1f\t%.1f\n", r.KeyBits, r.Search, r.Engine, r.Threads, r.Compressions,
			r.TrialsPerS/1e6, r.RatioToGeneric, r.RatioToLoop)
	}
	w.Flush()
	return b.String()
}
