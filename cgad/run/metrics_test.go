// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"shim6/cgad/netlab"
)

// scrape gets the metrics as Prometheus does.
func scrape(t *testing.T, addr string) string {
	t.Helper()
	resp, err := http.Get("http://" + addr + MetricsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v\n%s", resp.Status, err, b)
	}
	return string(b)
}

func TestMetrics(t *testing.T) {
	if err := netlab.LoopbackUp(); err != nil {
		t.Fatal(err)
	}
	both(t, func(t *testing.T, w world, one, two int) {
		r := start(t, w, 2, nil)
		l, err := ListenMetrics("[::1]:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- r.ServeMetrics(ctx, l) }()
		w.taken(t, one, 1)
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		w.advertise(t, two, "fe80::2", advertisement(0, prefixB, "2001:db8:9::/63"))
		w.advertise(t, two, "2001:db8::1", advertisement(1800, prefixC))
		r.proved(t, w, one, 1)
		r.proved(t, w, two, 1)
		var got string
		for _, want := range []string{
			`cgad_build_info{version="[^"]+"} 1`,
			`cgad_advertisements_total 3`,
			`cgad_refused_total{reason="the_advertisement_is_invalid"} 1`,
			`cgad_refused_total{reason="the_prefix_length_is_not_64"} 1`,
			`cgad_events_total{event="address_collision"} 1`,
			`cgad_events_total{event="address_ready"} 2`,
			`cgad_kernel_errors_total 0`,
			`cgad_interface_up{interface="h0"} 1`,
			`cgad_routers{interface="h1"} 1`,
			`cgad_default_routers{interface="h0"} 1`,
			`cgad_default_routers{interface="h1"} 0`,
			`cgad_addresses{interface="h0",state="ready"} 1`,
			`cgad_addresses{interface="h0",state="failed"} 0`,
			`cgad_deprecated_addresses{interface="h0"} 0`,
			`cgad_rules 1`,
			`go_goroutines \d+`,
			`process_resident_memory_bytes \S+`,
		} {
			re := regexp.MustCompile(`(?m)^` + want + `$`)
			netlab.Wait(t, want, func() bool { got = scrape(t, l.Addr().String()); return re.MatchString(got) })
		}
		if strings.Contains(got, "2001:db8") || strings.Contains(got, "fe80") {
			t.Errorf("an advertisement chooses labels:\n%s", got)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func TestMetricsPortIsTaken(t *testing.T) {
	if err := netlab.LoopbackUp(); err != nil {
		t.Fatal(err)
	}
	l, err := ListenMetrics("[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := ListenMetrics(l.Addr().String()); err == nil || !strings.HasPrefix(err.Error(), "metrics: listen tcp [::1]:") {
		t.Errorf("got %v", err)
	}
}
