// SPDX-License-Identifier: MIT

package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"fmt"
	"math"
	"runtime"
	"time"

	"shim6/daemon/engine"
	"shim6/internal/cga"
)

const (
	bursts    = 400 // of each measurement, in turn; the fastest counts, and other work on the machine disturbs most of them
	burst     = 50  // operations in one
	unlimited = 1e9
)

var open = engine.Limits{Contexts: 1 << 21, R1Rate: unlimited, VerifyRate: unlimited}

// fill makes n contexts, each with a key of its own that is none, for nobody verifies it.
func fill(r *responder, first, n uint64, spki []byte) error {
	own := append([]byte(nil), spki...)
	for i := first; i < first+n; i++ {
		rand.Read(own[len(own)-200 : len(own)-8])
		p, err := newPeer(own, nil, i)
		if err != nil {
			return err
		}
		in, err := p.begin(r)
		if err != nil {
			return err
		}
		v, ok := verification(r.handle(in))
		if !ok || programmed(r.handle(engine.VerifyDone{ID: v.ID, BadLocator: -1})) == 0 {
			return fmt.Errorf("context %d of %d was not made", i, n)
		}
	}
	return nil
}

// heap gives the octets that are in use.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// i2Burst gives the time that one I2 takes from packet to context. The contexts are removed again.
func i2Burst(r *responder, peers []*peer) (time.Duration, error) {
	packets := make([]engine.PacketIn, len(peers))
	for i, p := range peers {
		var err error
		if packets[i], err = p.begin(r); err != nil {
			return 0, err
		}
	}
	made := make([]engine.DeleteContext, len(peers))
	start := time.Now()
	for i, in := range packets {
		v, ok := verification(r.handle(in))
		if !ok {
			return 0, fmt.Errorf("the I2 of %v is not verified", in.Src)
		}
		made[i].Tag = programmed(r.handle(verify(v)))
	}
	took := time.Since(start)
	for _, d := range made {
		if d.Tag == 0 {
			return 0, fmt.Errorf("an I2 made no context")
		}
		r.handle(d)
	}
	return took / time.Duration(len(peers)), nil
}

// costs measures memory of contexts and the time of an I2 with few and with many of them, beside a bare verification.
func costs(key *rsa.PrivateKey, many uint64, t *table) error {
	spki, err := cga.MarshalPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	var peers []*peer
	for i := range uint64(burst) {
		p, err := newPeer(spki, key, 1<<24+i)
		if err != nil {
			return err
		}
		peers = append(peers, p)
	}
	few, err := newResponder(key, open)
	if err != nil {
		return err
	}
	crowd, err := newResponder(key, open)
	if err != nil {
		return err
	}
	if err := fill(few, 0, 1000, spki); err != nil {
		return err
	}
	before, filled := heap(), uint64(0)
	for _, n := range []uint64{many / 10, many} {
		if err := fill(crowd, filled, n-filled, spki); err != nil {
			return err
		}
		filled = n
		t.atMost(fmt.Sprintf("engine memory per context, %d contexts", n), (heap()-before)/float64(n)/1024, "KiB", 1.5)
	}
	sum := sha1.Sum([]byte("bench"))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA1, sum[:])
	if err != nil {
		return err
	}
	least := [3]time.Duration{math.MaxInt64, math.MaxInt64, math.MaxInt64}
	for range bursts {
		start := time.Now()
		for range burst {
			if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA1, sum[:], sig); err != nil {
				return err
			}
		}
		least[0] = min(least[0], time.Since(start)/burst)
		for i, r := range []*responder{few, crowd} {
			d, err := i2Burst(r, peers)
			if err != nil {
				return err
			}
			least[i+1] = min(least[i+1], d)
		}
	}
	t.note("bare RSA-2048 verification", float64(least[0].Nanoseconds())/1e3, "us")
	t.note("I2 processing, 1000 contexts", float64(least[1].Nanoseconds())/1e3, "us")
	t.note(fmt.Sprintf("I2 processing, %d contexts", many), float64(least[2].Nanoseconds())/1e3, "us")
	t.atMost("I2 processing / bare RSA-2048 verification", float64(least[1])/float64(least[0]), "", 1.3)
	t.atMost(fmt.Sprintf("I2 processing, %d contexts / 1000 contexts", many), float64(least[2])/float64(least[1]), "", 1.2)
	runtime.KeepAlive(crowd)
	return nil
}
