// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"shim6/internal/advice"
	"shim6/internal/cga"
)

// A search is a parameter search: for which prefixes, and where the key comes from.
type search struct {
	options    cga.GenerateOptions
	prefixes   [][8]byte
	collisions uint8
	start      *[16]byte // first modifier, nil for that of paramsFile or a random one
	hba        bool      // the prefixes are an HBA set
	extend     bool      // search in an extension

	// The key: one of these, or keyFile with paramsFile, or none for an HBA set.
	keyFile, certFile, paramsFile string
	bits                          int // of a new key

	checkpoint string        // file
	maxTime    time.Duration // 0 for no limit
}

// A result is what a search found. The parameters have the first prefix; the search does not depend on it.
type result struct {
	params    *cga.Params
	addresses []netip.Addr
	search    cga.Field
	stats     cga.Stats // of all runs, where there was a checkpoint

	checkpoint *checkpoint
	again      bool // an earlier run found it, and may have written files
}

// takeKey gets the public key and what comes with it. It gives the private key where there is one.
func (s *search) takeKey() (*rsa.PrivateKey, error) {
	key, spki, err := s.loadKey()
	if err != nil {
		return nil, err
	}
	s.options.PublicKey = spki
	switch {
	case s.paramsFile != "":
		if err := s.takeParams(spki); err != nil {
			return nil, err
		}
	case s.hba:
		s.options.Set = s.prefixes
		if spki == nil {
			s.options.PublicKey, s.options.Nonce = cga.NewNonce(), true
		}
	}
	s.options.Prefix = s.prefixes[0]
	if s.start != nil {
		s.options.Modifier = s.start
	}
	switch {
	case s.extend:
		s.options.Field = cga.FieldExtension
	case s.options.Nonce && s.start == nil && cga.IsNonce(s.options.PublicKey):
		s.options.Field = cga.FieldNonce
	}
	return key, nil
}

func (s *search) loadKey() (key *rsa.PrivateKey, spki []byte, err error) {
	switch {
	case s.bits != 0:
		key, err = cga.NewKey(s.bits)
	case s.keyFile != "":
		key, err = cga.LoadPrivateKey(s.keyFile)
	case s.certFile != "":
		spki, err = cga.LoadPublicKey(s.certFile)
	}
	if key != nil && err == nil {
		spki, err = cga.MarshalPublicKey(&key.PublicKey)
	}
	if err != nil && advice.For(err) == "" {
		err = withHint(err, "cgatool keygen makes a key; --cert takes a certificate or a public key, in PEM")
	}
	return key, spki, err
}

// takeParams takes key, extensions and modifier of the parameter file. A modifier that is good for the Sec value is found
// at once (RFC 3972 section 4). The set of an HBA set is kept or replaced; another set needs another modifier.
func (s *search) takeParams(spki []byte) error {
	p, err := cga.LoadParams(s.paramsFile)
	if err != nil {
		return err
	}
	m, err := p.MultiPrefix()
	if err != nil {
		return fmt.Errorf("%s: %w", s.paramsFile, err)
	}
	nonce := m != nil && !m.P
	if spki != nil && (nonce || !bytes.Equal(spki, p.PublicKey)) {
		return fmt.Errorf("%s: its public key is not that of %s", s.paramsFile, s.keyFile+s.certFile)
	}
	o := &s.options
	o.PublicKey, o.Extensions, o.Modifier = p.PublicKey, p.Extensions, &p.Modifier
	same := !s.hba || m != nil && slices.Equal(m.Prefixes, s.prefixes)
	if same && p.StrengthUnassigned() >= o.Sec {
		return nil
	}
	o.Extensions = slices.DeleteFunc(o.Extensions, func(e cga.Extension) bool {
		return s.hba && e.Type == cga.ExtensionMultiPrefix || s.extend && e.Type == cga.ExtensionSearch
	})
	if s.hba {
		o.Set, o.Nonce = s.prefixes, nonce
	}
	return nil
}

// run searches and makes the address of each prefix.
func (s *search) run(ctx context.Context, line *progress) (*result, error) {
	if s.maxTime != 0 {
		limited, cancel := context.WithTimeoutCause(ctx, s.maxTime, errMaxTime)
		defer cancel()
		ctx = limited
	}
	cp, err := openCheckpoint(s.checkpoint, &s.options)
	if err != nil {
		return nil, err
	}
	run, err := cga.NewSearch(s.options)
	if err != nil {
		return nil, cp.explain(err)
	}
	if err := cp.begin(run); err != nil {
		return nil, err
	}
	r := &result{search: s.options.Field, checkpoint: cp, params: cp.found()}
	r.again = r.params != nil
	if !r.again {
		stop := watch(run, line, cp)
		r.params, err = run.Run(ctx)
		warning := stop()
		if err != nil {
			return nil, s.stopped(err, run, cp)
		}
		if warning != nil {
			line.warn(warning)
		}
		if err := cp.finish(run, r.params); err != nil {
			return nil, err
		}
	}
	r.params.Prefix, r.params.CollisionCount = s.prefixes[0], s.collisions
	r.stats = cp.total(run.Stats())
	r.addresses, err = s.addresses(r.params)
	if err != nil && r.again {
		err = cp.explain(err)
	}
	return r, err
}

func (s *search) addresses(p *cga.Params) ([]netip.Addr, error) {
	var list []netip.Addr
	for _, x := range s.prefixes {
		q := *p
		q.Prefix = x
		a, err := q.AddressUnassigned(s.options.Sec)
		if err != nil {
			return nil, err
		}
		if err := q.VerifyUnassigned(a); err != nil {
			return nil, fmt.Errorf("no address with prefix %s: %w", prefixText(x), err)
		}
		list = append(list, a)
	}
	return list, nil
}

var errMaxTime = errors.New("time is up")

// stopped explains why a search ended without a result.
func (s *search) stopped(err error, run *cga.Search, cp *checkpoint) error {
	switch {
	case errors.Is(err, errMaxTime):
		err = fmt.Errorf("nothing found in %v and %d tries", s.maxTime, run.Stats().Trials)
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted, nothing was written")
	default:
		return err
	}
	if cp == nil {
		return err
	}
	if e := cp.save(run); e != nil {
		return errors.Join(err, e)
	}
	return withHint(err, "the same command goes on where "+cp.path+" says")
}

// watch shows how a search goes and keeps its checkpoint until the function that it gives is called. That one clears
// what is shown and gives the first error of the checkpoint.
func watch(run *cga.Search, line *progress, cp *checkpoint) (stop func() error) {
	end, ended := make(chan struct{}), make(chan error)
	go func() {
		show, save := time.NewTicker(progressInterval), time.NewTicker(checkpointInterval)
		defer show.Stop()
		defer save.Stop()
		var first error
		for {
			select {
			case <-show.C:
				line.show(cp.total(run.Stats()), run.Stats())
			case <-save.C:
				if err := cp.save(run); err != nil && first == nil {
					first = err
				}
			case <-end:
				ended <- first
				return
			}
		}
	}()
	return func() error {
		close(end)
		defer line.clear()
		return <-ended
	}
}
