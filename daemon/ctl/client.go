// SPDX-License-Identifier: MIT

package ctl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxAnswer = 256 << 20
	maxLine   = 1 << 20
)

// ErrNotRunning says that nobody listens on the control socket.
var ErrNotRunning = errors.New("shim6d is not running")

// A Client talks to shim6d. What the daemon refuses comes back as an *Error.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a Client for the control socket at the path. It connects when it is used.
func NewClient(path string) *Client {
	var d net.Dialer
	return &Client{path, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := d.DialContext(ctx, "unix", path)
			if err != nil {
				return nil, err
			}
			return &clientConn{Conn: c}, nil
		},
	}}}
}

// A clientConn tells an end before any answer from one between answers: package http says the same of both, by an error that nobody
// else can name, where the end comes before it has written its request.
type clientConn struct {
	net.Conn
	answered bool
}

func (c *clientConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.answered = c.answered || n > 0
	if err == io.EOF && !c.answered {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close ends the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks about the daemon.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/v1/status")
}

// Contexts lists the contexts that a filter picks; the zero Filter picks all.
func (c *Client) Contexts(ctx context.Context, f Filter) ([]Context, error) {
	return call[[]Context](ctx, c, http.MethodGet, "/v1/contexts"+f.query())
}

// Paths lists the paths of the contexts that a filter picks.
func (c *Client) Paths(ctx context.Context, f Filter) ([]ContextPath, error) {
	return call[[]ContextPath](ctx, c, http.MethodGet, "/v1/paths"+f.query())
}

// Flows lists the flows that have no context.
func (c *Client) Flows(ctx context.Context) ([]Flow, error) {
	return call[[]Flow](ctx, c, http.MethodGet, "/v1/flows")
}

// Log lists the remembered events that a filter picks, the oldest first.
func (c *Client) Log(ctx context.Context, f LogFilter) ([]Event, error) {
	return call[[]Event](ctx, c, http.MethodGet, "/v1/log"+f.query())
}

// Explain tells whether what goes to a peer is protected, and why; a port of zero stands for any.
func (c *Client) Explain(ctx context.Context, peer netip.Addr, port uint16) ([]Explanation, error) {
	path := "/v1/explain?peer=" + url.QueryEscape(peer.String())
	if port != 0 {
		path += "&port=" + strconv.Itoa(int(port))
	}
	return call[[]Explanation](ctx, c, http.MethodGet, path)
}

// Context returns the context with the local tag.
func (c *Client) Context(ctx context.Context, tag uint64) (Context, error) {
	return call[Context](ctx, c, http.MethodGet, "/v1/contexts/"+FormatTag(tag))
}

// Locators lists the local locators.
func (c *Client) Locators(ctx context.Context) ([]Locator, error) {
	return call[[]Locator](ctx, c, http.MethodGet, "/v1/locators")
}

// Devices lists the network devices, and who cuts up large packets for each.
func (c *Client) Devices(ctx context.Context) ([]Device, error) {
	return call[[]Device](ctx, c, http.MethodGet, "/v1/devices")
}

// Stats reads the counters.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	return call[Stats](ctx, c, http.MethodGet, "/v1/stats")
}

// Delete drops the context with the local tag.
func (c *Client) Delete(ctx context.Context, tag uint64) error {
	_, err := call[Done](ctx, c, http.MethodPost, "/v1/contexts/"+FormatTag(tag)+"/delete")
	return err
}

// Probe makes the context with the local tag explore its paths now.
func (c *Client) Probe(ctx context.Context, tag uint64) error {
	_, err := call[Done](ctx, c, http.MethodPost, "/v1/contexts/"+FormatTag(tag)+"/probe")
	return err
}

// Set changes timeouts of the context with the local tag.
func (c *Client) Set(ctx context.Context, tag uint64, t Timeouts) error {
	return c.post(ctx, "/v1/contexts/"+FormatTag(tag)+"/set", t)
}

// Switch has payload of the context with the local tag go to a pair, when that has answered a Probe: an event tells of the change,
// or of its failure.
func (c *Client) Switch(ctx context.Context, tag uint64, to Pair) error {
	return c.post(ctx, "/v1/contexts/"+FormatTag(tag)+"/switch", to)
}

// Prefer orders the pairs of the context with the local tag, the best first; none ends that.
func (c *Client) Prefer(ctx context.Context, tag uint64, pairs []Pair) error {
	return c.post(ctx, "/v1/contexts/"+FormatTag(tag)+"/prefer", Ranking{append([]Pair{}, pairs...)})
}

// Reload has the daemon read its configuration file again.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	return call[Reloaded](ctx, c, http.MethodPost, "/v1/reload")
}

// Fork begins another context for the ULIDs of the one with the local tag.
func (c *Client) Fork(ctx context.Context, tag uint64, f Fork) (Forked, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return Forked{}, err
	}
	return answer[Forked](c.send(ctx, http.MethodPost, "/v1/contexts/"+FormatTag(tag)+"/fork", bytes.NewReader(b)))
}

// Heuristics lists the heuristics that the kernel knows, those in use first and in the order in which they are asked.
func (c *Client) Heuristics(ctx context.Context) ([]Heuristic, error) {
	return call[[]Heuristic](ctx, c, http.MethodGet, "/v1/heuristics")
}

// ChangeHeuristics chooses heuristics, or sets their parameters.
func (c *Client) ChangeHeuristics(ctx context.Context, change HeuristicChange) error {
	return c.post(ctx, "/v1/heuristics", change)
}

// Flush drops every context and returns how many there were.
func (c *Client) Flush(ctx context.Context) (int, error) {
	d, err := call[Done](ctx, c, http.MethodPost, "/v1/flush")
	return d.Contexts, err
}

// Events opens the event stream. Every event after its return is received.
func (c *Client) Events(ctx context.Context) (*Stream, error) {
	body, err := c.do(ctx, http.MethodGet, "/v1/events")
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	return &Stream{body, lines}, nil
}

// A Stream receives events.
type Stream struct {
	body  io.ReadCloser
	lines *bufio.Scanner
}

// Next waits for the next event; io.EOF says that the daemon ended the stream.
func (s *Stream) Next() (Event, error) {
	var ev Event
	if !s.lines.Scan() {
		if err := s.lines.Err(); err != nil {
			return ev, fmt.Errorf("read events: %w", err)
		}
		return ev, io.EOF
	}
	if err := json.Unmarshal(s.lines.Bytes(), &ev); err != nil {
		return ev, fmt.Errorf("read events: %w", err)
	}
	return ev, nil
}

// Close ends the stream.
func (s *Stream) Close() error { return s.body.Close() }

func call[T any](ctx context.Context, c *Client, method, path string) (v T, err error) {
	return answer[T](c.do(ctx, method, path))
}

// answer reads the JSON of an answer.
func answer[T any](body io.ReadCloser, err error) (v T, _ error) {
	if err != nil {
		return v, err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&v); err != nil {
		return v, fmt.Errorf("answer of shim6d: %w", err)
	}
	return v, nil
}

// post sends v as JSON.
func (c *Client) post(ctx context.Context, path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	body, err := c.send(ctx, http.MethodPost, path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	return body.Close()
}

func (c *Client) do(ctx context.Context, method, path string) (io.ReadCloser, error) {
	return c.send(ctx, method, path, nil)
}

func (c *Client) send(ctx context.Context, method, path string, content io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://shim6d"+path, content)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: nobody listens on %s", ErrNotRunning, c.path)
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{http.StatusForbidden, "permission denied on " + c.path, "run as root or as a member of the socket's group"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return nil, &Error{
			http.StatusServiceUnavailable, "shim6d closed the connection without an answer",
			"it stops, or you have too many connections: end one, such as shim6ctl monitor or top",
		}
	case err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK:
		defer resp.Body.Close()
		return nil, answerError(resp)
	}
	return resp.Body, nil
}

// answerError reads the Error in an answer; what is no Error of ours becomes one.
func answerError(resp *http.Response) error {
	e := new(Error)
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxLine))
	if err != nil || json.Unmarshal(b, e) != nil || e.Message == "" {
		e = &Error{Message: fmt.Sprintf("shim6d answered %s: %.200s", resp.Status, strings.TrimSpace(string(b)))}
	}
	e.Status = resp.StatusCode
	return e
}
