// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"shim6/internal/cga"
)

const (
	checkpointFormat = "cgatool checkpoint 1"
	// checkpointInterval is what a search that is killed loses at most.
	checkpointInterval = time.Second
	maxCheckpoint      = 1 << 20
)

// A checkpoint keeps how far a search has come in a file. A nil one keeps nothing.
type checkpoint struct {
	path    string
	saved   savedSearch
	options *cga.GenerateOptions
}

// A savedSearch is the contents of the file.
type savedSearch struct {
	Format   string  `json:"format"`
	Sec      uint8   `json:"sec"`
	Search   string  `json:"search"` // the field
	Shard    int     `json:"shard"`
	Shards   int     `json:"shards"`
	Start    string  `json:"start"`    // parameters that are counted up from, with no prefix
	Position uint64  `json:"position"` // all candidates before it are tried
	Trials   uint64  `json:"trials"`
	ElapsedS float64 `json:"elapsed_s"`
	Found    string  `json:"found,omitempty"` // parameters
}

// openCheckpoint reads the file, if there is one, and makes options go on where it says.
func openCheckpoint(path string, o *cga.GenerateOptions) (*checkpoint, error) {
	if path == "" {
		return nil, nil
	}
	c := &checkpoint{path: path, options: o}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, checkNew(path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCheckpoint))
	if err != nil {
		return nil, err
	}
	p, err := c.parse(b)
	if err != nil {
		return nil, withHint(fmt.Errorf("%s: %w", path, err), "without the file the search starts anew")
	}
	if o.Modifier == nil {
		o.Modifier = &p.Modifier
	}
	if o.Nonce && o.Field == cga.FieldNonce {
		o.PublicKey, o.Modifier = p.PublicKey, &p.Modifier
	}
	o.From = c.saved.Position
	return c, nil
}

func (c *checkpoint) parse(b []byte) (*cga.Params, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	s := &c.saved
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("no checkpoint, at octet %d of %d: %w", faultAt(err, b), len(b), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("no checkpoint, something follows octet %d", d.InputOffset())
	}
	if s.Format != checkpointFormat {
		return nil, fmt.Errorf("the format is %q, not %q", s.Format, checkpointFormat)
	}
	if s.ElapsedS < 0 || s.ElapsedS > time.Duration(1<<62).Seconds() {
		return nil, fmt.Errorf("elapsed_s cannot be %g", s.ElapsedS)
	}
	if s.Found != "" {
		if _, err := unhexParams(s.Found); err != nil {
			return nil, fmt.Errorf("found: %w", err)
		}
	}
	p, err := unhexParams(s.Start)
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return p, nil
}

// faultAt gives the offset that an error about JSON has; it is the end where input is missing.
func faultAt(err error, b []byte) int64 {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return syntax.Offset
	case errors.As(err, &kind):
		return kind.Offset
	}
	return int64(len(b))
}

func unhexParams(s string) (*cga.Params, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, err
	}
	return cga.ParseParams(b)
}

// begin checks that the file belongs to the search, or makes it.
func (c *checkpoint) begin(run *cga.Search) error {
	if c == nil {
		return nil
	}
	o := c.options
	start := *run.Start()
	start.Prefix = [8]byte{}
	want := savedSearch{
		Format: checkpointFormat, Sec: o.Sec, Search: o.Field.String(), Shard: o.Shard, Shards: o.Shards,
		Start: hex.EncodeToString(start.Marshal()),
	}
	if c.saved.Format == "" {
		c.saved = want
		return c.save(run)
	}
	var what string
	switch s := c.saved; {
	case s.Sec != want.Sec:
		what = fmt.Sprintf("sec is %d, not %d", s.Sec, want.Sec)
	case s.Search != want.Search:
		what = fmt.Sprintf("it varies the %s, not the %s", s.Search, want.Search)
	case s.Shard != want.Shard || s.Shards != want.Shards:
		what = fmt.Sprintf("shard is %d/%d, not %d/%d", s.Shard, s.Shards, want.Shard, want.Shards)
	case s.Start != want.Start:
		what = "key, modifier, prefixes or extensions differ"
	case s.Found != "" && !comesFrom(c.found(), &start, o.Field):
		what = "it found something else"
	default:
		return nil
	}
	return withHint(fmt.Errorf("%s belongs to another search: %s", c.path, what), "give each search a checkpoint of its own")
}

// comesFrom tells whether a search of a field can lead from start to found. Whether found is good is seen later.
func comesFrom(found, start *cga.Params, f cga.Field) bool {
	p := *found
	p.Modifier, p.Prefix = start.Modifier, start.Prefix
	switch last := len(p.Extensions) - 1; {
	case f == cga.FieldNonce && cga.IsNonce(p.PublicKey):
		p.PublicKey = start.PublicKey
	case f == cga.FieldExtension && last >= 0 && last < len(start.Extensions) && len(p.Extensions[last].Data) == len(start.Extensions[last].Data):
		p.Extensions = slices.Clone(p.Extensions)
		p.Extensions[last].Data = start.Extensions[last].Data
	}
	return bytes.Equal(p.Marshal(), start.Marshal())
}

// explain adds the name of the file to an error about what came from it.
func (c *checkpoint) explain(err error) error {
	if c != nil && c.saved.Format != "" {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	return err
}

// save replaces the file.
func (c *checkpoint) save(run *cga.Search) error {
	if c == nil {
		return nil
	}
	now, s := c.total(run.Stats()), c.saved
	s.Position, s.Trials, s.ElapsedS = max(s.Position, now.Position), now.Trials, now.Elapsed.Seconds()
	return c.write(s)
}

func (c *checkpoint) write(s savedSearch) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := cga.ReplaceFile(c.path, append(b, '\n')); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// finish notes the result, so that a run that is killed before it has written the files does not search again.
func (c *checkpoint) finish(run *cga.Search, p *cga.Params) error {
	if c == nil {
		return nil
	}
	now := c.total(run.Stats())
	s := c.saved
	s.Position, s.Trials, s.ElapsedS, s.Found = max(s.Position, now.Position), now.Trials, now.Elapsed.Seconds(), hex.EncodeToString(p.Marshal())
	return c.write(s)
}

// found gives the result of an earlier run, nil when there is none.
func (c *checkpoint) found() *cga.Params {
	if c == nil || c.saved.Found == "" {
		return nil
	}
	p, err := unhexParams(c.saved.Found)
	if err != nil {
		return nil // parse has refused it
	}
	return p
}

// total adds what earlier runs did to the figures of this one.
func (c *checkpoint) total(s cga.Stats) cga.Stats {
	if c != nil {
		s.Trials += c.saved.Trials
		s.Elapsed += time.Duration(c.saved.ElapsedS * float64(time.Second))
	}
	return s
}

// remove ends the life of the file.
func (c *checkpoint) remove() error {
	if c == nil {
		return nil
	}
	return os.Remove(c.path)
}
