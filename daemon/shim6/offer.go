// SPDX-License-Identifier: MIT

package shim6

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"shim6/daemon/wire"
)

// An Offer is what a peer says about itself in an I2, R2, I2bis or UpdateRequest.
type Offer struct {
	List           *wire.LocatorList
	Preferences    *wire.LocatorPreferences
	PDS, Signature []byte
	Timeout        time.Duration // Keepalive Timeout that the peer asks for, zero for none
}

// A Digest tells equal offers.
type Digest [sha256.Size]byte

// NewOffer picks an Offer out of a message's options.
func NewOffer(o *wire.Options) Offer {
	f := Offer{List: o.Locators, Preferences: o.Preferences, PDS: o.PDS, Signature: o.Signature}
	if o.KeepaliveTimeout != nil {
		f.Timeout = min(time.Duration(*o.KeepaliveTimeout)*time.Second, time.Hour)
	}
	return f
}

// A Fault says what is wrong with an Offer before any cryptography; it is fit to name a counter.
type Fault string

// The faults.
const (
	FaultNone             Fault = ""
	FaultEmptyList        Fault = "empty-locator-list"
	FaultTooManyLocators  Fault = "too-many-locators"
	FaultListWithoutPDS   Fault = "list-without-pds"
	FaultLocatorAddress   Fault = "bad-locator-address"
	FaultLocatorMethod    Fault = "bad-locator-method"
	FaultDuplicateLocator Fault = "duplicate-locator"
	FaultGeneration       Fault = "preferences-generation" // preferences of another list
	FaultPreferenceCount  Fault = "preferences-count"      // more or fewer preferences than locators
)

// Faults lists every Fault but FaultNone.
var Faults = []Fault{
	FaultEmptyList, FaultTooManyLocators, FaultListWithoutPDS, FaultLocatorAddress, FaultLocatorMethod,
	FaultDuplicateLocator, FaultGeneration, FaultPreferenceCount,
}

// Check looks for what makes the offer useless whatever its proofs are. Locator is the index of the locator at fault, -1
// where it is not that of one locator.
func (o Offer) Check(ulid netip.Addr) (f Fault, locator int) {
	if o.List == nil {
		return FaultNone, -1
	}
	ls := o.List.Locators
	room := MaxLocators
	if !slices.ContainsFunc(ls, func(l wire.Locator) bool { return l.Addr == ulid }) {
		room-- // for the ULID
	}
	switch {
	case len(ls) == 0:
		return FaultEmptyList, -1
	case len(ls) > room:
		return FaultTooManyLocators, -1
	case o.PDS == nil:
		return FaultListWithoutPDS, -1
	}
	for i, l := range ls {
		switch {
		case l.Method != wire.VerifyHBA && l.Method != wire.VerifyCGA,
			l.Method == wire.VerifyCGA && o.Signature == nil:
			return FaultLocatorMethod, i
		case !Usable(l.Addr):
			return FaultLocatorAddress, i
		case slices.ContainsFunc(ls[:i], func(m wire.Locator) bool { return m.Addr == l.Addr }):
			return FaultDuplicateLocator, i
		}
	}
	return FaultNone, -1
}

// NeedsVerification tells whether there is something to be verified: a peer with one plain address brings nothing.
func (o Offer) NeedsVerification() bool { return o.List != nil || o.PDS != nil }

// Names tells whether the locator list has an address.
func (o Offer) Names(a netip.Addr) bool {
	return o.List != nil && slices.ContainsFunc(o.List.Locators, func(l wire.Locator) bool { return l.Addr == a })
}

// Digest gives equal values only for offers of equal list, parameters and signature.
func (o Offer) Digest() Digest {
	h := sha256.New()
	var room [8]byte
	num := func(n uint64) { h.Write(binary.BigEndian.AppendUint64(room[:0], n)) }
	if o.List != nil {
		num(uint64(o.List.Generation) + 1)
		num(uint64(len(o.List.Locators)))
		for _, l := range o.List.Locators {
			a := l.Addr.As16()
			h.Write(a[:])
			num(uint64(l.Method))
		}
	} else {
		num(0)
	}
	for _, b := range [][]byte{o.PDS, o.Signature} {
		num(uint64(len(b)))
		h.Write(b)
	}
	return Digest(h.Sum(nil))
}

// set gives Ls(peer) for a verified offer with a list. A ULID always is a locator of its host (RFC 5533 section 2.2); one that
// the list leaves out is the last to be tried.
func (o Offer) set(ulid netip.Addr) LocatorSet {
	s := LocatorSet{Generation: o.List.Generation, Locators: make([]Locator, 0, len(o.List.Locators)+1)}
	for _, l := range o.List.Locators {
		s.Locators = append(s.Locators, Locator{Addr: l.Addr, Method: l.Method, Verified: true})
	}
	if !s.Has(ulid) {
		s.Locators = append(s.Locators, Locator{Addr: ulid, Verified: true, Preference: Preference{Broken: true}})
	}
	if p := o.Preferences; p != nil && p.Generation == s.Generation && len(p.Elements) == s.listed() {
		s.prefer(p.Elements)
	}
	return s
}

const defaultSendTimeout = 15 * time.Second // RFC 5534 section 7

// announcedTimeout gives what the Keepalive Timeout option says about a Send Timeout: whole seconds, rounded up, and
// nothing about the default.
func announcedTimeout(d time.Duration) *uint16 {
	if d == 0 || d == defaultSendTimeout {
		return nil
	}
	return new(seconds(d))
}

func seconds(d time.Duration) uint16 { return uint16(min((d+time.Second-1)/time.Second, 65535)) }
