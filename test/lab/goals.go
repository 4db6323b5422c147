// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"slices"

	"shim6/test/lab/report"
)

// judge compares what was measured with what is asked of the module.
func (k *benchKernel) judge(b *report.Bench, measured []string) {
	if slices.Contains(measured, "udp64") {
		k.over("UDP, module loaded and enabled, no context", "udp64/direct/no-context", "udp64/direct/unloaded", 40)
		k.over("UDP, context that does not rewrite", "udp64/direct/context", "udp64/direct/plain", 400)
		k.over("UDP, rewriting", "udp64/direct/rewriting", "udp64/direct/plain", 1100)
		k.ratio("UDP through a router, rewriting", "udp64/routed/rewriting", 0.905)
	}
	if slices.Contains(measured, "tcp-sw") {
		k.ratio("TCP, segmented in software, rewriting", "tcp-sw/routed/rewriting", 0.92)
	}
	if slices.Contains(measured, "tcp-gro") {
		k.ratio("TCP, segmented in software and merged, rewriting", "tcp-gro/routed/rewriting", 0.98)
	}
	if slices.Contains(measured, "tcp-tso") {
		k.ratio("TCP, not segmented, rewriting", "tcp-tso/direct/rewriting", 0.94)
		k.ratio("TCP, not segmented, context that does not rewrite", "tcp-tso/direct/context", 0.995)
	}
	if slices.Contains(measured, "scale") {
		k.over("100000 contexts instead of one", "udp64-scale/direct/100000-contexts", "udp64-scale/direct/1-context", 100)
		k.judgeMemory(b.Memory)
	}
	if slices.Contains(measured, "kick") {
		k.judgeKick(b.Kick)
	}
}

func (k *benchKernel) judgeMemory(m *report.Memory) {
	whole := float64(m.Slab+m.PerCPU) / float64(m.Contexts)
	states := float64(2 * m.State)
	k.goal(fmt.Sprintf("memory of a context beyond its two xfrm states of %d octets", m.State), whole-states, "octets", true, 1536)
	k.Context = &benchContext{
		Octets: round(whole, 0), StateOctets: m.State, PerCPUOctets: round(float64(m.PerCPU)/float64(m.Contexts), 0), CPUs: m.CPUs,
		Insn: round(float64(m.Instructions)/float64(m.Contexts), 0),
	}
}

func (k *benchKernel) judgeKick(kick *report.Kick) {
	k.goal(fmt.Sprintf("sockets of %d that one pass kicks", kick.Sockets), float64(kick.Reached), "sockets", false, float64(kick.Sockets))
	k.goal("of these, go on", float64(kick.Resumed), "sockets", false, float64(kick.Sockets))
	buckets := float64(kick.Buckets[1] - kick.Buckets[0])
	perBucket := (median(kick.PassInstructions[1]) - median(kick.PassInstructions[0])) / buckets
	k.goal("a kick's cost for a bucket without sockets", perBucket, "insn", true, bucketLimit)
}

// bucketLimit is what a loop needs that loads, compares and goes on.
const bucketLimit = 8

func (k *benchKernel) find(name string) *benchCase {
	i := slices.IndexFunc(k.Cases, func(c benchCase) bool { return c.Case == name })
	if i < 0 {
		return nil
	}
	return &k.Cases[i]
}

// over is a goal for the instructions per packet that one case takes more than another.
func (k *benchKernel) over(name, what, base string, limit float64) {
	w, b := k.find(what), k.find(base)
	if w == nil || b == nil || w.Insn == nil || b.Insn == nil {
		k.missing(name, "insn", true, limit)
		return
	}
	k.goal(name, *w.Insn-*b.Insn, "insn", true, limit)
}

func (k *benchKernel) ratio(name, what string, limit float64) {
	w := k.find(what)
	if w == nil || w.Ratio == nil {
		k.missing(name, "", false, limit)
		return
	}
	k.goal(name, *w.Ratio, "", false, limit)
}

func (k *benchKernel) goal(name string, measured float64, unit string, atMost bool, limit float64) {
	g := benchGoal{Name: name, Measured: round(measured, 4), Unit: unit, AtMost: atMost, Limit: limit, OK: measured >= limit}
	if atMost {
		g.OK = measured <= limit
	}
	k.Goals = append(k.Goals, g)
}

// missing is a goal that was not measured: it is missed.
func (k *benchKernel) missing(name, unit string, atMost bool, limit float64) {
	k.Goals = append(k.Goals, benchGoal{Name: name + " (not measured)", Unit: unit, AtMost: atMost, Limit: limit})
}
