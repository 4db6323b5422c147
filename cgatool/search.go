// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/netip"

	"shim6/internal/cga"
)

// A search is a parameter search: for which prefixes, and where the key comes from, of which exactly one is set.
type search struct {
	options    cga.GenerateOptions
	prefixes   [][8]byte
	collisions uint8
	start      *[16]byte // first modifier, nil for that of paramsFile or a random one

	keyFile    string
	paramsFile string
	bits       int // of a new key
}

// takeKey gets the public key and what comes with it. It gives the private key when it made one.
func (s *search) takeKey() (newKey *rsa.PrivateKey, err error) {
	var key *rsa.PrivateKey
	switch {
	case s.paramsFile != "":
		// A modifier that is good for the Sec value is found at once (RFC 3972 section 4).
		p, err := cga.LoadParams(s.paramsFile)
		if err != nil {
			return nil, err
		}
		s.options.PublicKey, s.options.Extensions, s.options.Modifier = p.PublicKey, p.Extensions, &p.Modifier
	case s.keyFile != "":
		key, err = cga.LoadPrivateKey(s.keyFile)
	default:
		key, err = cga.NewKey(s.bits)
		newKey = key
	}
	if err != nil {
		return nil, err
	}
	if key != nil {
		if s.options.PublicKey, err = cga.MarshalPublicKey(&key.PublicKey); err != nil {
			return nil, err
		}
	}
	if s.start != nil {
		s.options.Modifier = s.start
	}
	return newKey, nil
}

// run searches and makes the address of each prefix. The parameters have the first prefix; the search does not depend on it.
func (s *search) run(ctx context.Context, line *progress) (p *cga.Params, addresses []netip.Addr, trials uint64, err error) {
	o := s.options
	o.Prefix = s.prefixes[0]
	run, err := cga.NewSearch(o)
	if err != nil {
		return nil, nil, 0, err
	}
	stop := line.watch(run)
	p, err = run.Run(ctx)
	stop()
	trials = run.Stats().Trials
	if err != nil {
		return nil, nil, 0, err
	}
	p.CollisionCount = s.collisions
	for _, x := range s.prefixes {
		q := *p
		q.Prefix = x
		a, err := q.Address(o.Sec)
		if err != nil {
			return nil, nil, 0, err
		}
		if err := q.VerifyFor(a); err != nil {
			return nil, nil, 0, fmt.Errorf("no address with prefix %s: %w", prefixText(x), err)
		}
		addresses = append(addresses, a)
	}
	return p, addresses, trials, nil
}
