// SPDX-License-Identifier: MIT

// Package metrics shows what the control interface tells in the format of Prometheus.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"shim6/daemon/ctl"
)

// Path is where metrics are served.
const Path = "/metrics"

const (
	// askTime bounds how long the daemon may take to answer.
	askTime = 5 * time.Second
	// atOnce is how many requests are answered at the same time, and freshFor how long an answer does for others: any local user
	// may ask.
	atOnce    = 4
	freshFor  = time.Second
	headerMax = 16 << 10
)

// A Source is what is asked: a ctl.Backend.
type Source interface {
	Status(context.Context) (ctl.Status, error)
	Contexts(context.Context) ([]ctl.Context, error)
	Flows(context.Context) ([]ctl.Flow, error)
	Locators(context.Context) ([]ctl.Locator, error)
	Stats(context.Context) (ctl.Stats, error)
	Heuristics(context.Context) ([]ctl.Heuristic, error)
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("shim6_"+name, help, labels, nil)
}

// What is measured. No label has a value that a peer chose, so that a flood makes no time series.
var (
	descBuild       = describe("build_info", "Always 1; the version is a label.", "version")
	descStarted     = describe("start_time_seconds", "When the daemon started, in seconds since 1970.")
	descContexts    = describe("contexts", "Contexts, by state.", "state")
	descReap        = describe("established_contexts", "Established contexts, by REAP state.", "reap")
	descMoved       = describe("moved_contexts", "Established contexts whose payload goes on another path than that of its ULIDs.")
	descFollowed    = describe("flows_without_context", "Flows without a context that a heuristic follows.")
	descUnprotected = describe("flows_unprotected", "Flows that a context is wanted for and that have none, by the code that says why.", "code")
	descLocators    = describe("locators", "Local locators, by what proves them.", "proof")
	descBroken      = describe("locators_broken", "Local locators that do not work now.")
	descRTT         = describe("path_rtt_seconds", "Smoothed round-trip times of the paths in use that were probed.")
	descLoss        = describe("path_loss_ratio", "Lost parts of the Probes on the paths in use that were probed.")
	descMessages    = describe("messages_total", "Control messages, by direction and type.", "direction", "type")
	descRefused     = describe("refused_total", "Input that came to nothing, by reason.", "reason")
	descKernel      = describe("kernel_total", "Counters of the kernel module in this network namespace.", "counter")
	descDaemon      = describe("daemon_total", "Counters of the daemon.", "counter")
	descHeuristic   = describe("heuristic_decisions_total", "What heuristics decided since they were chosen.", "heuristic", "decision")
)

var (
	states = []string{"I1-SENT", "I2-SENT", "ESTABLISHED", "I2BIS-SENT", "E-FAILED", "NO-SUPPORT"}
	reaps  = []string{"Operational", "Exploring", "InboundOk"}
	proofs = []string{"CGA", "HBA", "none"}
	codes  = []string{
		ctl.CodePeerSilent, ctl.CodePeerNoSupport, ctl.CodeExchangeRunning, ctl.CodeFlowWanted, ctl.CodeContextsFull,
		ctl.CodePolicyRefuses, ctl.CodePolicyNever, ctl.CodeSourceNotLocator,
	}
	quantiles = []float64{0.5, 0.9, 1}
)

// seen is one look at the daemon.
type seen struct {
	at         time.Time
	status     ctl.Status
	contexts   []ctl.Context
	flows      []ctl.Flow
	locators   []ctl.Locator
	stats      ctl.Stats
	heuristics []ctl.Heuristic
	err        error
}

// A collector asks the daemon when somebody wants metrics.
type collector struct {
	source Source
	mu     sync.Mutex
	last   seen
}

func (c *collector) look() seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last.at) < freshFor {
		return c.last
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	var s seen
	var errs [6]error
	s.status, errs[0] = c.source.Status(ctx)
	s.contexts, errs[1] = c.source.Contexts(ctx)
	s.flows, errs[2] = c.source.Flows(ctx)
	s.locators, errs[3] = c.source.Locators(ctx)
	s.stats, errs[4] = c.source.Stats(ctx)
	s.heuristics, errs[5] = c.source.Heuristics(ctx)
	s.at, s.err = time.Now(), errors.Join(errs[:]...)
	c.last = s
	return s
}

// Describe gives nothing: labels depend on what the kernel module counts.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect shows one look.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.look()
	if s.err != nil {
		out <- prometheus.NewInvalidMetric(descBuild, fmt.Errorf("the daemon does not answer: %w", s.err))
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge(descBuild, 1, s.status.Version)
	gauge(descStarted, float64(s.status.Started.UnixMilli())/1000)
	byState, byReap, moved := make(map[string]int), make(map[string]int), 0
	var rtts, losses []float64
	for _, x := range s.contexts {
		byState[x.State]++
		if x.State != "ESTABLISHED" {
			continue
		}
		byReap[x.Reap]++
		if x.Current != (ctl.Pair{Local: x.ULIDLocal, Peer: x.ULIDPeer}) {
			moved++
		}
		for _, p := range x.Paths {
			if p.Current && p.RTTMS > 0 {
				rtts = append(rtts, p.RTTMS/1000)
			}
			if loss, ok := p.Loss(); p.Current && ok {
				losses = append(losses, loss)
			}
		}
	}
	each(states, byState, func(state string, n int) { gauge(descContexts, float64(n), state) })
	each(reaps, byReap, func(reap string, n int) { gauge(descReap, float64(n), reap) })
	gauge(descMoved, float64(moved))
	out <- summary(descRTT, rtts)
	out <- summary(descLoss, losses)

	unprotected := make(map[string]int)
	for _, f := range s.flows {
		if f.Wanted && f.Code != ctl.CodeContextEstablished {
			unprotected[f.Code]++
		}
	}
	gauge(descFollowed, float64(len(s.flows)))
	each(codes, unprotected, func(code string, n int) { gauge(descUnprotected, float64(n), code) })
	byProof, broken := make(map[string]int), 0
	for _, l := range s.locators {
		proof := l.Proof
		if proof == "" {
			proof = "none"
		}
		byProof[proof]++
		if l.Broken {
			broken++
		}
	}
	each(proofs, byProof, func(proof string, n int) { gauge(descLocators, float64(n), proof) })
	gauge(descBroken, float64(broken))

	for name, n := range s.stats.Kernel {
		count(descKernel, n, name)
	}
	for name, n := range s.stats.Daemon {
		count(descDaemon, n, name)
	}
	for name, n := range s.stats.Engine {
		switch verb, what, _ := strings.Cut(name, " "); verb {
		case "sent", "received":
			count(descMessages, n, verb, what)
		case "dropped":
			count(descRefused, n, what)
		}
	}
	for _, h := range s.heuristics {
		if h.Used && h.Name != "none" {
			count(descHeuristic, h.Triggers, h.Name, "trigger")
			count(descHeuristic, h.Vetoes, h.Name, "veto")
			count(descHeuristic, h.Refusals, h.Name, "refusal")
		}
	}
}

// each gives the numbers of all names, zero for those that did not come up, and then of others.
func each(names []string, n map[string]int, tell func(string, int)) {
	for _, name := range names {
		tell(name, n[name])
	}
	for name := range n {
		if !slices.Contains(names, name) {
			tell(name, n[name])
		}
	}
}

// summary tells how values are distributed; of none all quantiles are NaN, as Prometheus has it.
func summary(d *prometheus.Desc, values []float64) prometheus.Metric {
	slices.Sort(values)
	sum, q := 0.0, make(map[float64]float64)
	for _, v := range values {
		sum += v
	}
	for _, at := range quantiles {
		if len(values) > 0 {
			q[at] = values[min(int(at*float64(len(values))), len(values)-1)]
		}
	}
	return prometheus.MustNewConstSummary(d, uint64(len(values)), sum, q)
}

// Listen opens the port for metrics.
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return l, nil
}

// Serve answers requests for metrics until ctx is done.
func Serve(ctx context.Context, l net.Listener, source Source, log *slog.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{source: source}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), MaxRequestsInFlight: atOnce, Timeout: 2 * askTime,
	}))
	server := &http.Server{
		Handler: mux, ReadTimeout: askTime, WriteTimeout: 3 * askTime, IdleTimeout: time.Minute, MaxHeaderBytes: headerMax,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(&bounded{Listener: l, slots: make(chan struct{}, connectionsMost)}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
