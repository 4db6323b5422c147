// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"shim6/cgad/autoconf"
)

// MetricsPath is where metrics are served.
const MetricsPath = "/metrics"

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("cgad_"+name, help, labels, nil)
}

// What is measured. No label has a value that an advertisement chose, so that a flood makes no time series.
var (
	descBuild          = describe("build_info", "Always 1; the version is a label.", "version")
	descAdvertisements = describe("advertisements_total", "Router Advertisements that were received.")
	descRefused        = describe("refused_total", "Advertisements, routers, prefixes and routes that were not accepted, by reason.", "reason")
	descEvents         = describe("events_total", "What happened to interfaces, routers and addresses, by event.", "event")
	descFailed         = describe("kernel_errors_total", "Changes of the network configuration that the kernel did not make.")
	descUp             = describe("interface_up", "Whether a managed interface is up and has a carrier.", "interface")
	descRouters        = describe("routers", "Routers that are known on an interface.", "interface")
	descDefault        = describe("default_routers", "Those of them that are default routers.", "interface")
	descAddresses      = describe("addresses", "Addresses on an interface, by state (waiting, tentative, ready, failed, lost).", "interface", "state")
	descDeprecated     = describe("deprecated_addresses", "Addresses that are ready and deprecated.", "interface")
	descRules          = describe("rules", "Prefixes whose packets are routed by a rule.")
)

// events are the reports that are counted; what is refused has a counter for each reason.
var events = []autoconf.Kind{
	autoconf.LinkManaged, autoconf.LinkReleased, autoconf.RouterFound, autoconf.RouterLost, autoconf.AddressReady, autoconf.AddressExpired,
	autoconf.AddressRemoved, autoconf.AddressRejected, autoconf.Collision, autoconf.GivenUp, autoconf.ParamsFailed,
}

var states = []autoconf.State{autoconf.Waiting, autoconf.Tentative, autoconf.Ready, autoconf.Failed, autoconf.Lost}

// label is a text as the value of a label.
func label[T ~string](text T) string { return strings.ReplaceAll(string(text), " ", "_") }

// A collector asks the daemon for its state whenever somebody wants metrics.
type collector struct{ d *Daemon }

// Describe gives nothing: the labels depend on the state.
func (c collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	s, err := c.d.Status(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(descBuild, fmt.Errorf("the daemon does not answer: %w", err))
		return
	}
	count := func(desc *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(desc *prometheus.Desc, n int, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(descBuild, 1, s.Version)
	count(descAdvertisements, s.Advertisements)
	count(descFailed, s.KernelErrors)
	for reason, n := range s.Counters {
		count(descRefused, n, label(reason))
	}
	for _, kind := range events {
		count(descEvents, s.Events[kind], label(kind))
	}
	gauge(descRules, len(s.Rules))
	for _, l := range s.Links {
		up, defaults, deprecated := 0, 0, 0
		if l.Up {
			up = 1
		}
		for _, r := range l.Routers {
			if r.LifetimeSeconds != 0 {
				defaults++
			}
		}
		byState := make(map[autoconf.State]int)
		for _, a := range l.Addresses {
			byState[a.State]++
			if a.State == autoconf.Ready && a.PreferredSeconds == 0 {
				deprecated++
			}
		}
		gauge(descUp, up, l.Name)
		gauge(descRouters, len(l.Routers), l.Name)
		gauge(descDefault, defaults, l.Name)
		gauge(descDeprecated, deprecated, l.Name)
		for _, state := range states {
			gauge(descAddresses, byState[state], l.Name, string(state))
		}
	}
}

// ServeMetrics answers requests for metrics in the format of Prometheus until ctx is done.
func (d *Daemon) ServeMetrics(ctx context.Context, l net.Listener) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{d}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET "+MetricsPath, promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(d.Log.Handler(), slog.LevelWarn), MaxRequestsInFlight: metricsAtOnce, Timeout: statusTimeout,
	}))
	return serve(ctx, "metrics", l, mux)
}

// connectionsMost is how many connections are held at the same time, of each of the two services.
const connectionsMost = 16

// metricsAtOnce is how many requests for metrics are answered at the same time.
const metricsAtOnce = 4

// serve answers requests until ctx is done.
func serve(ctx context.Context, what string, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadTimeout: statusTimeout, WriteTimeout: 2 * statusTimeout, MaxHeaderBytes: headerMax}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	// Any user of this host can connect to the port for metrics; more than this wait in the kernel.
	if err := server.Serve(netutil.LimitListener(l, connectionsMost)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// ListenMetrics opens the port for metrics.
func ListenMetrics(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return l, nil
}
