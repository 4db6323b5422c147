// SPDX-License-Identifier: MIT

package fig9

import (
	"fmt"
	"math"
	"slices"
	"time"

	"shim6/test/figures/figure"
	"shim6/test/figures/sample"
)

// plainTCP is when retransmissions of a TCP that nobody tells come, in seconds after the failure, at this round-trip time: a tail loss
// probe after 0.06, and from there on a timeout of 0.23 that doubles.
var plainTCP = []float64{0.06, 0.3, 0.76, 1.75, 3.6, 7.2, 14.7, 29.3, 58.9, 118}

const (
	// stepTolerance is how far from plainTCP a step may be: where in its timer's course a failure meets TCP is chance.
	stepTolerance = 0.10
	// firstProbe is the share of failures after which the first probe must be the only one.
	firstProbe = 0.95
	slopeError = 0.02
)

// A curve is the recoveries of one kind, by Send Timeout.
type curve struct {
	tsend []float64
	arts  [][]float64
}

func curveOf(all []recovery, keep func(*recovery) bool) curve {
	var c curve
	by := make(map[time.Duration][]float64)
	for i := range all {
		if keep(&all[i]) {
			by[all[i].TSend] = append(by[all[i].TSend], all[i].art())
		}
	}
	var keys []time.Duration
	for t := range by {
		keys = append(keys, t)
	}
	slices.Sort(keys)
	for _, t := range keys {
		c.tsend, c.arts = append(c.tsend, t.Seconds()), append(c.arts, by[t])
	}
	return c
}

func (c curve) medians() []float64 {
	var m []float64
	for _, a := range c.arts {
		m = append(m, sample.Median(a))
	}
	return m
}

func kind(kernel, flow, failure string, kick bool) func(*recovery) bool {
	return func(r *recovery) bool {
		return r.kernel == kernel && r.Flow == flow && r.Failure == failure && r.Kick == kick
	}
}

// shown are the flows and failures, that of the paper first.
var shown = []struct{ flow, failure, name string }{
	{"tcp", "silent", "TCP, silent drop"},
	{"udp", "silent", "UDP, silent drop"},
	{"tcp", "interface", "TCP, router interface down"},
	{"tcp", "out", "TCP, what is sent is lost"},
	{"tcp", "back", "TCP, what comes back is lost"},
	{"udp", "out", "UDP, what is sent is lost"},
}

func judge(r *figure.Result, all []recovery) {
	allowance := (3*rtt/2 + margin).Seconds()
	for _, kernel := range []string{newer, older} {
		for _, s := range shown {
			c := curveOf(all, kind(kernel, s.flow, s.failure, true))
			worst, at, runs := math.Inf(-1), 0.0, 0
			for i, m := range c.medians() {
				runs += len(c.arts[i])
				if over := m - c.tsend[i]; over > worst {
					worst, at = over, c.tsend[i]
				}
			}
			r.Gate(fmt.Sprintf("with reset, %s, Linux %s", s.name, kernel),
				fmt.Sprintf("The median is at most the Send Timeout + 1.5 round-trip times + %v.", margin), len(c.tsend) > 0 && worst <= allowance,
				"%+.0f ms over the Send Timeout at most (for %g s), allowed are %.0f; %d failures, %d Send Timeouts", 1e3*worst, at, 1e3*allowance, runs,
				len(c.tsend))
		}
		reset := curveOf(all, kind(kernel, "tcp", "silent", true))
		if len(reset.tsend) < 2 {
			r.Gate("linear, Linux "+kernel, "", false, "there are %d Send Timeouts", len(reset.tsend))
			continue
		}
		line := sample.Fit(reset.tsend, reset.medians())
		r.Gate("linear, Linux "+kernel, "With the reset, the recovery time is linear in the Send Timeout.",
			math.Abs(line.Slope-1) <= slopeError && line.R2 > 0.999, "slope %.4f, %.0f ms at zero, R² %.5f", line.Slope, 1e3*line.Intercept, line.R2)
		least, runs := math.Inf(1), 0
		for i, arts := range reset.arts {
			for _, a := range arts {
				least, runs = math.Min(least, a-reset.tsend[i]), runs+1
			}
		}
		r.Gate("at least the Send Timeout, Linux "+kernel, "The recovery time is at least the Send Timeout.", least >= 0,
			"the shortest is %+.1f ms over it, of %d", 1e3*least, runs)
		steps(r, kernel, curveOf(all, kind(kernel, "tcp", "silent", false)), reset)
		probes(r, kernel, all)
	}
}

// steps judges TCP that nobody tells: what gets through is one of its retransmissions, and none that came before the Send Timeout.
func steps(r *figure.Result, kernel string, plain, reset curve) {
	wrong, list, saved := "", "", 0.0
	for i, m := range plain.medians() {
		if !slices.ContainsFunc(plainTCP, func(t float64) bool { return math.Abs(m/t-1) <= stepTolerance }) || m < plain.tsend[i] {
			wrong += fmt.Sprintf("; %.2f s is no step", m)
		}
		list += fmt.Sprintf(" %g→%.2f", plain.tsend[i], m)
		if j := slices.Index(reset.tsend, plain.tsend[i]); j >= 0 {
			saved = math.Max(saved, m-sample.Median(reset.arts[j]))
		}
	}
	r.Gate("steps without reset, Linux "+kernel, "Without the reset the recovery time goes in the steps of TCP's back-off (15 s of failure cost 29.3 s).",
		len(plain.tsend) > 0 && wrong == "", "Send Timeout→median, s:%s; the reset saves up to %.1f s%s", list, saved, wrong)
}

// probes judges the explorations.
func probes(r *figure.Result, kernel string, all []recovery) {
	first, n := 0, 0
	for i := range all {
		if x := &all[i]; x.kernel == kernel && x.Flow == "tcp" && x.Failure == "silent" {
			n++
			if x.Probes == 1 {
				first++
			}
		}
	}
	r.Gate("first probe, Linux "+kernel, "The first probe takes a path that works.", n > 0 && float64(first) >= firstProbe*float64(n),
		"neither host sent a second one before the path changed, in %d of %d failures", first, n)
}

// peer returns the recovery times of one of the kernel's own ways.
func peer(all []recovery, kernel, flow string, tuned bool) []float64 {
	var arts []float64
	for i := range all {
		if x := &all[i]; x.kernel == kernel && x.Flow == flow && x.Tuned == tuned {
			arts = append(arts, x.art())
		}
	}
	return arts
}

func notes(r *figure.Result, all []recovery) {
	for _, kernel := range []string{newer, older} {
		for _, p := range peers {
			if arts := peer(all, kernel, p.flow, p.tuned); len(arts) > 0 {
				r.Note("%s, Linux %s: median %.0f ms, %.0f to %.0f, of %d failures.", p.name, kernel, 1e3*sample.Median(arts), 1e3*slices.Min(arts),
					1e3*slices.Max(arts), len(arts))
			}
		}
	}
	c := curveOf(all, kind(newer, "tcp", "interface", true))
	for i, m := range c.medians() {
		r.Note("Router interface down, Send Timeout %g s: median %.2f s.", c.tsend[i], m)
	}
	r.Differ("Guests with stock Debian kernels in QEMU, whose clock counts instructions and skips idle time, in place of machines on a desk; hosts and " +
		"routers are namespaces. The round-trip time is 20 ms.")
	r.Differ("A stream of 200 octets each 10 ms in place of iperf, so that the recovery time has a resolution of 10 ms and UDP has the same load.")
	r.Differ("Silent drop in place of a link that is switched off, except where that is said: a lost carrier is a hint that our daemon follows without " +
		"waiting for the Send Timeout, once the kernel tells of it and the path in use has been probed.")
	r.Differ("MPTCP and SCTP have no Send Timeout. Tuned MPTCP has rto_min 5 ms and stale_loss_cnt 1; tuned SCTP has timeouts from 20 to 200 ms, leaves a " +
		"path with the second loss, sends heartbeats each 200 ms and does not delay acknowledgements. Host b has a second address for SCTP, which tells " +
		"paths apart by destination.")
}
