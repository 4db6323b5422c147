// SPDX-License-Identifier: MIT

package signer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"shim6/internal/cga"
)

// patience is how long an answer may take; the signer may have to be started first.
const patience = 10 * time.Second

// ErrSigner is wrapped by every error of a signer.
var ErrSigner = errors.New("signer")

// Hint says what a person can do about ErrSigner.
const Hint = "is it there, and may this user ask it? systemctl status shim6-signer.socket; without --signer the keys are read here"

// A Client asks the signer that listens on a Unix socket. It may be used concurrently.
type Client struct {
	path string
	mu   sync.Mutex
	conn net.Conn // nil for none
	in   *bufio.Scanner
}

// New returns a Client that has not connected yet.
func New(path string) *Client { return &Client{path: path} }

// LoadDir is cga.LoadDir with the keys of the signer in place of those in the directory. It connects anew: a signer has the keys
// that there were when it was started, for this connection alone.
func (c *Client) LoadDir(dir string) (*cga.Store, error) {
	keys, err := c.keys()
	store, paramsErr := cga.LoadParamsDir(dir, keys)
	return store, errors.Join(err, paramsErr)
}

// Close ends the connection, and with it the signer that was started for it. The Client connects again when it is used.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hangUp()
}

func (c *Client) keys() (map[string]cga.Signer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hangUp()
	a, err := c.ask(request{})
	if err != nil {
		return nil, err
	}
	keys := make(map[string]cga.Signer)
	for name, spki := range a.Keys {
		if _, err := cga.ParsePublicKey(spki); err != nil {
			return nil, c.wrap(fmt.Errorf("key %q: %w", name, err))
		}
		keys[name] = &remote{c, name, spki}
	}
	if a.Error != "" {
		err = c.wrap(errors.New(a.Error))
	}
	return keys, err
}

func (c *Client) wrap(err error) error { return fmt.Errorf("%w %s: %w", ErrSigner, c.path, err) }

func (c *Client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// ask sends a request; after an error the connection is gone.
func (c *Client) ask(r request) (a answer, err error) {
	defer func() {
		if err != nil {
			c.hangUp()
			err = c.wrap(err)
		}
	}()
	if c.conn == nil {
		if c.conn, err = net.DialTimeout("unix", c.path, patience); err != nil {
			return a, err
		}
		c.in = bufio.NewScanner(c.conn)
		c.in.Buffer(nil, lineMax)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return a, err
	}
	if _, err := c.conn.Write(append(raw, '\n')); err != nil {
		return a, err
	}
	if !c.in.Scan() {
		if err := c.in.Err(); err != nil {
			return a, err
		}
		return a, fmt.Errorf("it ended without an answer: %w", io.ErrUnexpectedEOF)
	}
	return a, json.Unmarshal(c.in.Bytes(), &a)
}

// A remote is a key that the signer has.
type remote struct {
	client *Client
	name   string
	spki   []byte
}

func (k *remote) PublicKey() []byte { return k.spki }

// Sign asks for a signature, a second time where the connection was of an earlier signer that has ended.
func (k *remote) Sign(data []byte) ([]byte, error) {
	c := k.client
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.conn != nil
	a, err := c.ask(request{Key: k.name, Data: data})
	if err != nil && old {
		a, err = c.ask(request{Key: k.name, Data: data})
	}
	switch {
	case err != nil:
		return nil, err
	case a.Error != "":
		return nil, c.wrap(errors.New(a.Error))
	}
	return a.Signature, nil
}
