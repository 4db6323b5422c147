// SPDX-License-Identifier: MIT

package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	idleTimeout    = time.Minute
	maxHeader      = 16 << 10
	maxBody        = 16 << 10
)

// ErrNoContext is what a Backend returns for a tag of no context.
var ErrNoContext = errors.New("no such context")

// A Backend does what requests ask for. It is called from many goroutines.
type Backend interface {
	Status(context.Context) (Status, error)
	Contexts(context.Context) ([]Context, error)
	Locators(context.Context) ([]Locator, error)
	Devices(context.Context) ([]Device, error)
	Stats(context.Context) (Stats, error)
	Heuristics(context.Context) ([]Heuristic, error)
	// Flows lists the flows without a context.
	Flows(context.Context) ([]Flow, error)
	// Explain says what became, or would, of flows to a peer; a port of zero stands for any.
	Explain(ctx context.Context, peer netip.Addr, port uint16) ([]Explanation, error)
	// ChangeHeuristics returns an Error of status 400 for what does not exist or is out of range.
	ChangeHeuristics(context.Context, HeuristicChange) error
	// DeleteContext and ProbeContext return ErrNoContext for a tag of no context.
	DeleteContext(ctx context.Context, tag uint64) error
	ProbeContext(ctx context.Context, tag uint64) error
	// SetContext returns an Error of status 400 for timeouts out of range, and ErrNoContext.
	SetContext(ctx context.Context, tag uint64, t Timeouts) error
	// SwitchContext returns an Error of status 409 where the context cannot use the pair now, and ErrNoContext. Payload moves
	// when the pair has answered a Probe, which an event tells.
	SwitchContext(ctx context.Context, tag uint64, to Pair) error
	// PreferPaths returns an Error of status 400 for too many pairs, one of status 409 where the context has no paths, and
	// ErrNoContext.
	PreferPaths(ctx context.Context, tag uint64, r Ranking) error
	// Reload returns an Error of status 400 for a configuration file that cannot be used.
	Reload(context.Context) (Reloaded, error)
	// ForkContext returns an Error of status 400 for a timeout out of range, one of status 409 where the context cannot be
	// forked so, and ErrNoContext.
	ForkContext(ctx context.Context, tag uint64, f Fork) (Forked, error)
	// Flush deletes every context and returns how many there were.
	Flush(context.Context) (int, error)
}

// A Server answers requests on the control socket.
type Server struct {
	backend Backend
	events  *Events
	http    *http.Server
}

// NewServer returns a Server. What clients do wrong on the HTTP level is logged to log.
func NewServer(b Backend, e *Events, log *slog.Logger) *Server {
	s := &Server{backend: b, events: e}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", get(b.Status))
	mux.HandleFunc("GET /v1/contexts", func(w http.ResponseWriter, r *http.Request) {
		list, err := s.filtered(r)
		answerWith(w, list, err)
	})
	mux.HandleFunc("GET /v1/paths", func(w http.ResponseWriter, r *http.Request) {
		list, err := s.filtered(r)
		answerWith(w, paths(list), err)
	})
	mux.HandleFunc("GET /v1/flows", get(b.Flows))
	mux.HandleFunc("GET /v1/log", s.log)
	mux.HandleFunc("GET /v1/explain", s.explain)
	mux.HandleFunc("GET /v1/contexts/{tag}", s.context)
	mux.HandleFunc("GET /v1/locators", get(b.Locators))
	mux.HandleFunc("GET /v1/devices", get(b.Devices))
	mux.HandleFunc("GET /v1/stats", get(b.Stats))
	mux.HandleFunc("GET /v1/heuristics", get(b.Heuristics))
	mux.HandleFunc("GET /v1/events", s.stream)
	mux.HandleFunc("POST /v1/contexts/{tag}/delete", onTag(b.DeleteContext))
	mux.HandleFunc("POST /v1/contexts/{tag}/probe", onTag(b.ProbeContext))
	mux.HandleFunc("POST /v1/contexts/{tag}/set", onTagWith(b.SetContext))
	mux.HandleFunc("POST /v1/contexts/{tag}/switch", onTagWith(b.SwitchContext))
	mux.HandleFunc("POST /v1/contexts/{tag}/prefer", onTagWith(b.PreferPaths))
	mux.HandleFunc("POST /v1/reload", get(b.Reload))
	mux.HandleFunc("POST /v1/contexts/{tag}/fork", func(w http.ResponseWriter, r *http.Request) {
		f, err := content[Fork](r)
		if err != nil {
			fail(w, err)
			return
		}
		withTag(func(ctx context.Context, tag uint64) (Forked, error) { return b.ForkContext(ctx, tag, f) })(w, r)
	})
	mux.HandleFunc("POST /v1/heuristics", func(w http.ResponseWriter, r *http.Request) {
		change, err := content[HeuristicChange](r)
		if err == nil {
			err = b.ChangeHeuristics(r.Context(), change)
		}
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, Done{})
	})
	mux.HandleFunc("POST /v1/flush", get(func(ctx context.Context) (Done, error) {
		n, err := b.Flush(ctx)
		return Done{n}, err
	}))
	s.http = &http.Server{
		Handler:           guard(mux),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
	}
	return s
}

// Serve answers requests until Shutdown, and returns nil then.
func (s *Server) Serve(l *Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown ends the event streams, lets requests in progress end while ctx lasts, and stops the server.
func (s *Server) Shutdown(ctx context.Context) error {
	s.events.Close()
	return errors.Join(s.http.Shutdown(ctx), s.http.Close())
}

type connKey struct{}

// peer is who sent a request, or nil where no Listener has found out.
func peer(r *http.Request) *peerConn {
	c, _ := r.Context().Value(connKey{}).(*peerConn)
	return c
}

// guard lets only those pass whom the Listener found to be root or in the socket's group.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := peer(r); c == nil || !c.allowed {
			fail(w, &Error{http.StatusForbidden, "permission denied", "only root and the group of the control socket may use it"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// content reads the JSON of a request.
func content[T any](r *http.Request) (v T, err error) {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, &Error{http.StatusBadRequest, "content: " + err.Error(), ""}
	}
	return v, nil
}

// get answers with what fn returns.
func get[T any](fn func(context.Context) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := fn(r.Context())
		answerWith(w, v, err)
	}
}

func answerWith(w http.ResponseWriter, v any, err error) {
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, v)
}

// onTag calls fn with the tag in the path.
func onTag(fn func(context.Context, uint64) error) http.HandlerFunc {
	return withTag(func(ctx context.Context, tag uint64) (Done, error) { return Done{1}, fn(ctx, tag) })
}

// onTagWith calls fn with the tag in the path and the content.
func onTagWith[T any](fn func(context.Context, uint64, T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := content[T](r)
		if err != nil {
			fail(w, err)
			return
		}
		onTag(func(ctx context.Context, tag uint64) error { return fn(ctx, tag, v) })(w, r)
	}
}

// withTag answers with what fn returns for the tag in the path.
func withTag[T any](fn func(context.Context, uint64) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tag, err := ParseTag(r.PathValue("tag"))
		if err != nil {
			fail(w, &Error{http.StatusBadRequest, err.Error(), ""})
			return
		}
		v, err := fn(r.Context(), tag)
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, v)
	}
}

func (s *Server) context(w http.ResponseWriter, r *http.Request) {
	tag, err := ParseTag(r.PathValue("tag"))
	if err != nil {
		fail(w, &Error{http.StatusBadRequest, err.Error(), ""})
		return
	}
	all, err := s.backend.Contexts(r.Context())
	if err != nil {
		fail(w, err)
		return
	}
	for _, c := range all {
		if c.Tag == FormatTag(tag) {
			reply(w, http.StatusOK, c)
			return
		}
	}
	fail(w, ErrNoContext)
}

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		fail(w, err)
		return
	}
	// A request that took long, such as a flush of many contexts, must have time for its answer.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(requestTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client may be gone already.
	_, _ = w.Write(append(b, '\n'))
}

func fail(w http.ResponseWriter, err error) {
	e := new(Error)
	switch {
	case errors.As(err, &e):
	case errors.Is(err, ErrNoContext):
		e = &Error{http.StatusNotFound, err.Error(), "list the contexts: shim6ctl contexts"}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e = &Error{http.StatusServiceUnavailable, "the daemon is stopping or too busy", ""}
	default:
		e = &Error{http.StatusInternalServerError, err.Error(), ""}
	}
	reply(w, e.Status, e)
}
