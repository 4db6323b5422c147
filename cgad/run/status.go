// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/internal/buildinfo"
)

// A Status describes the daemon.
type Status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	autoconf.Snapshot
}

// StatusPath is where the status is served over HTTP on the socket.
const StatusPath = "/v1/status"

// invalid is why an advertisement never reaches the loop.
const invalid = "the advertisement is invalid"

func (d *Daemon) status() Status {
	s := Status{Version: buildinfo.Version(), PID: os.Getpid(), Started: d.started, Snapshot: d.auto.Snapshot(time.Now())}
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
	socketDirMode = 0o755
	socketMode    = 0o600
	headerMax     = 1 << 12
)

// Serve answers status requests of root on a Unix socket until ctx is done. A socket that nobody listens on is replaced.
func (d *Daemon) Serve(ctx context.Context, path string) error {
	l, err := listen(path)
	if err != nil {
		return fmt.Errorf("status socket: %w", err)
	}
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
	server := &http.Server{Handler: mux, ReadTimeout: statusTimeout, WriteTimeout: 2 * statusTimeout, MaxHeaderBytes: headerMax}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("status socket: %w", err)
	}
	return nil
}

func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), socketDirMode); err != nil {
		return nil, err
	}
	switch st, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case st.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s exists and is not a socket", path)
	default:
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("another process listens on %s", path)
		} else if !errors.Is(err, unix.ECONNREFUSED) {
			return nil, err
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	// Until the mode is right nobody but root can connect in any case: connecting takes permission to write.
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Ask gives the status of the daemon that listens on a socket.
func Ask(ctx context.Context, path string) (Status, error) {
	var s Status
	client := http.Client{Timeout: 2 * statusTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://cgad"+StatusPath, nil)
	if err != nil {
		return s, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return s, fmt.Errorf("ask cgad on %s: %w", path, errors.Unwrap(err))
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
