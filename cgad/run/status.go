// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/internal/buildinfo"
	"shim6/internal/socket"
)

// A Status describes the daemon.
type Status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`

	Advertisements uint64                   `json:"advertisements"` // that were received
	Events         map[autoconf.Kind]uint64 `json:"events"`         // how often each was reported
	KernelErrors   uint64                   `json:"kernel_errors"`  // changes that the kernel did not make
	autoconf.Snapshot
}

// Where the daemon is asked over HTTP on the socket.
const (
	StatusPath = "/v1/status" // GET
	ReloadPath = "/v1/reload" // POST
)

// invalid is why an advertisement never reaches the loop.
const invalid = "the advertisement is invalid"

func (d *Daemon) status() Status {
	s := Status{
		Version: buildinfo.Version(), PID: os.Getpid(), Started: d.started, Advertisements: d.received.Load(), Events: maps.Clone(d.reported),
		KernelErrors: d.refused, Snapshot: d.auto.Snapshot(time.Now()),
	}
	if n := d.invalid.Load(); n > 0 {
		s.Counters[invalid] = n
	}
	return s
}

// Status gives the state of a running Daemon.
func (d *Daemon) Status(ctx context.Context) (Status, error) {
	reply := make(chan Status, 1)
	select {
	case d.statuses <- reply:
		return <-reply, nil
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
}

const (
	statusTimeout = 5 * time.Second
	statusMax     = 1 << 20 // octets that are read of an answer
	socketMode    = 0o600
	headerMax     = 1 << 12
)

// Listen opens the socket for Serve. One that nobody listens on is replaced.
func Listen(path string) (net.Listener, error) {
	l, err := socket.Listen(path, -1, socketMode)
	if err != nil {
		return nil, fmt.Errorf("status socket: %w", err)
	}
	return l, nil
}

// Serve answers requests of root on the socket until ctx is done.
func (d *Daemon) Serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StatusPath, func(w http.ResponseWriter, r *http.Request) {
		timeout, cancel := context.WithTimeout(r.Context(), statusTimeout)
		defer cancel()
		s, err := d.Status(timeout)
		if err != nil {
			http.Error(w, "the daemon does not answer", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s) // the client may have gone
	})
	mux.HandleFunc("POST "+ReloadPath, func(w http.ResponseWriter, r *http.Request) {
		timeout, cancel := context.WithTimeout(r.Context(), statusTimeout)
		defer cancel()
		if err := d.Reload(timeout); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		}
	})
	return serve(ctx, "status socket", l, mux)
}

// What is wrong with the socket of a daemon that is asked.
var (
	ErrNotRunning = errors.New("cgad is not running")
	ErrDenied     = errors.New("permission denied")
)

// ErrReload says that the daemon keeps its configuration because the new one is wrong.
var ErrReload = errors.New("the configuration stays as it was")

// AskReload has the daemon that listens on a socket reload its configuration.
func AskReload(ctx context.Context, path string) error {
	resp, err := request(ctx, path, http.MethodPost, ReloadPath)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, statusMax))
	if err != nil {
		return fmt.Errorf("answer of cgad on %s: %w", path, err)
	}
	return fmt.Errorf("%s: %w", strings.TrimSpace(string(text)), ErrReload)
}

// Ask gives the status of the daemon that listens on a socket.
func Ask(ctx context.Context, path string) (Status, error) {
	var s Status
	resp, err := request(ctx, path, http.MethodGet, StatusPath)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("cgad on %s answers %s", path, resp.Status)
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, statusMax)).Decode(&s); err != nil {
		return s, fmt.Errorf("answer of cgad on %s: %w", path, err)
	}
	return s, nil
}

// request sends a request without a body; the answer's body is to be closed.
func request(ctx context.Context, path, method, url string) (*http.Response, error) {
	client := http.Client{Timeout: 2 * statusTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://cgad"+url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: nobody listens on %s", ErrNotRunning, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w on %s", ErrDenied, path)
	case err != nil:
		return nil, fmt.Errorf("ask cgad on %s: %w", path, errors.Unwrap(err))
	}
	return resp, nil
}
