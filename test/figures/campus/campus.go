// SPDX-License-Identifier: MIT

// Package campus makes up a flow trace like one that a campus border takes of its servers. It is a model and no measurement; the
// constants below are the model, and equal seeds give equal traces.
//
//   - Clients begin sessions as a Poisson process whose rate follows the hour of the day and is halved at weekends.
//   - A session is with one server, chosen by popularity (Zipf, exponent 1), of a client chosen by activity (Zipf, exponent
//     0.9, out of 100,000): some clients come back soon and often.
//   - Most sessions are a few short flows, geometric in number, with pauses between (log-normal, median 5 s) as people read.
//     Flow sizes have a log-normal body and a Pareto tail (exponent 1.2), rates are log-normal. A tail flow ends after ten
//     minutes at most.
//   - A few sessions are long and quiet, as of terminals and mail clients: minutes to hours with seconds between packets.
//   - Scanners and the like send single packets from addresses that never come back.
//
// Each flow gives a record of either direction, in the order in which flows start.
package campus

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"shim6/test/figures/trace"
)

// The model.
const (
	clients       = 100000
	clientZipf    = 0.9
	serverZipf    = 1.0
	flowsMean     = 3.0
	pauseMedian   = 5.0 // seconds
	pauseSigma    = 1.2
	sizeMedian    = 6000.0 // octets from the server
	sizeSigma     = 1.7
	tailShare     = 0.02
	tailFrom      = 200e3
	tailExponent  = 1.2
	tailMost      = 200e6
	rateMedian    = 60e3 // octets a second
	rateSigma     = 1.2
	rtt           = 0.06 // seconds; a flow lasts four of them at least
	longShare     = 0.01
	longMedian    = 900.0 // seconds
	longSigma     = 1.2
	longMost      = 6 * 3600.0
	longGapMedian = 5.0 // seconds between packets
	longGapSigma  = 1.3
	scanShare     = 0.10 // of all sessions
	flowMost      = 600.0
	segment       = 1000.0 // octets of a packet from the server
)

// hourly is the rate of sessions by the hour of the day, as a share of the busiest.
var hourly = [24]float64{
	0.25, 0.18, 0.14, 0.12, 0.12, 0.15, 0.25, 0.45, 0.70, 0.90, 1.00, 0.98, 0.90, 0.92, 1.00, 0.98, 0.92, 0.80, 0.65, 0.58, 0.55, 0.50, 0.42, 0.33,
}

const weekend = 0.5

// Options choose a trace.
type Options struct {
	Seed    uint64
	Start   time.Time
	Length  time.Duration
	Servers int
	Rate    float64 // sessions a second in the busiest hour
}

// Describe tells the model in a sentence.
func (o Options) Describe() string {
	return fmt.Sprintf("synthetic campus-like trace, seed %d: %v from %s, %d servers, %g sessions/s in the busiest hour", o.Seed,
		o.Length, o.Start.UTC().Format("2 Jan 2006"), o.Servers, o.Rate)
}

// Network is where the servers are.
var Network = netip.MustParsePrefix("2001:db8:5e:1::/64")

// Server returns the address of a server, the most popular first.
func Server(i int) netip.Addr { return numbered(Network.Addr(), uint64(i)+1) }

func numbered(base netip.Addr, n uint64) netip.Addr {
	b := base.As16()
	binary.BigEndian.PutUint64(b[8:], n)
	return netip.AddrFrom16(b)
}

var (
	clientBase  = netip.MustParseAddr("2001:db8:c::")
	scannerBase = netip.MustParseAddr("2001:db8:bad::")
)

// A Trace gives the records one after the other.
type Trace struct {
	o        Options
	rng      *rand.Rand
	end      time.Time
	arrival  time.Time // of the next session
	servers  []float64 // cumulated popularity
	people   []float64
	scanners uint64
	flows    flows
	queue    []trace.Record
}

// New begins a trace.
func New(o Options) *Trace {
	t := &Trace{
		o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x5eed)), end: o.Start.Add(o.Length), arrival: o.Start,
		servers: zipf(o.Servers, serverZipf), people: zipf(clients, clientZipf),
	}
	t.arrive()
	return t
}

// zipf cumulates the weights of a Zipf distribution.
func zipf(n int, exponent float64) []float64 {
	sums := make([]float64, n)
	sum := 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -exponent)
		sums[i] = sum
	}
	return sums
}

// choose draws from cumulated weights.
func (t *Trace) choose(sums []float64) int {
	x := t.rng.Float64() * sums[len(sums)-1]
	lo, hi := 0, len(sums)-1
	for lo < hi {
		if mid := (lo + hi) / 2; sums[mid] > x {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// arrive finds the time of the next session, by thinning a process of the highest rate.
func (t *Trace) arrive() {
	for {
		t.arrival = t.arrival.Add(seconds(t.rng.ExpFloat64() / t.o.Rate))
		if t.rng.Float64() < share(t.arrival) {
			return
		}
	}
}

// share is the rate of sessions at a time as a share of the highest.
func share(at time.Time) float64 {
	at = at.UTC()
	hour := at.Hour()
	part := float64(at.Minute()) / 60
	s := hourly[hour]*(1-part) + hourly[(hour+1)%24]*part
	if d := at.Weekday(); d == time.Saturday || d == time.Sunday {
		s *= weekend
	}
	return s
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (t *Trace) logNormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*t.rng.NormFloat64())
}

// Next returns the next record.
func (t *Trace) Next() (trace.Record, error) {
	for len(t.queue) == 0 {
		for t.arrival.Before(t.end) && (len(t.flows) == 0 || t.arrival.Before(t.flows[0].at)) {
			t.session()
			t.arrive()
		}
		if len(t.flows) == 0 {
			return trace.Record{}, io.EOF
		}
		f := heap.Pop(&t.flows).(flow)
		if f.at.Before(t.end) {
			t.emit(f)
		}
	}
	r := t.queue[0]
	t.queue = t.queue[1:]
	return r, nil
}

// Skipped is nothing: all records are good.
func (t *Trace) Skipped() map[string]uint64 { return nil }

// A flow is one that is to start.
type flow struct {
	at             time.Time
	client, server netip.Addr
	lasts          float64 // seconds
	size           float64 // octets from the server
	packets        float64 // from the server
	oneWay         bool
}

func (t *Trace) session() {
	f := flow{at: t.arrival, server: Server(t.choose(t.servers))}
	switch x := t.rng.Float64(); {
	case x < scanShare:
		t.scanners++
		f.client = numbered(scannerBase, t.scanners)
		f.size, f.packets, f.oneWay = 60, 1, true
		t.start(f)
		return
	case x < scanShare+longShare:
		f.client = numbered(clientBase, uint64(t.choose(t.people))+1)
		f.lasts = min(t.logNormal(longMedian, longSigma), longMost)
		f.packets = math.Ceil(f.lasts/t.logNormal(longGapMedian, longGapSigma)) + 1
		f.size = 120 * f.packets
		t.start(f)
		return
	}
	f.client = numbered(clientBase, uint64(t.choose(t.people))+1)
	for {
		f.size = t.logNormal(sizeMedian, sizeSigma)
		if t.rng.Float64() < tailShare {
			f.size = min(tailFrom*math.Pow(t.rng.Float64(), -1/tailExponent), tailMost)
		}
		f.lasts = min(4*rtt+f.size/t.logNormal(rateMedian, rateSigma), flowMost)
		f.packets = math.Ceil(f.size/segment) + 3
		t.start(f)
		if t.rng.Float64() < 1/flowsMean {
			return
		}
		f.at = f.at.Add(seconds(f.lasts + t.logNormal(pauseMedian, pauseSigma)))
	}
}

func (t *Trace) start(f flow) { heap.Push(&t.flows, f) }

// emit turns a flow into a record of each direction.
func (t *Trace) emit(f flow) {
	end := f.at.Add(seconds(f.lasts))
	if end.After(t.end) {
		// The trace ends in the middle of the flow.
		seen := t.end.Sub(f.at).Seconds() / f.lasts
		f.packets, f.size, end = math.Ceil(f.packets*seen), f.size*seen, t.end
	}
	if f.oneWay {
		t.queue = append(t.queue, trace.Record{Src: f.client, Dst: f.server, Start: f.at, End: end, Packets: 1, Bytes: uint64(f.size)})
		return
	}
	asks := math.Ceil(f.packets/2) + 2
	t.queue = append(t.queue,
		trace.Record{Src: f.client, Dst: f.server, Start: f.at, End: end, Packets: uint64(asks), Bytes: uint64(60*asks + 400)},
		trace.Record{Src: f.server, Dst: f.client, Start: f.at, End: end, Packets: uint64(f.packets), Bytes: uint64(f.size + 60*f.packets)})
}

// flows is a heap, the next to start first.
type flows []flow

func (q flows) Len() int           { return len(q) }
func (q flows) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q flows) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *flows) Push(x any)        { *q = append(*q, x.(flow)) }
func (q *flows) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}
