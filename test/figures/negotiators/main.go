// SPDX-License-Identifier: MIT

// Command negotiators runs in a lab guest, once in each of two hosts: shim6d's engine between a raw socket and the kernel module,
// without the rest of the daemon, so that what is verified and signed, and when, can be chosen. One initiates contexts and takes the time.
package main

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/rawsock"
	"shim6/internal/cga"
)

const (
	usage = "usage: negotiators respond CONFIG KEY OWN PEER | initiate CONFIG KEY OWN PEER RUNS OUT"
	// pause is between two negotiations.
	pause = 500 * time.Millisecond
	// patience is how long one may take.
	patience = 30 * time.Second
)

// A config is how hosts prove their locators.
type config struct {
	Locators []struct {
		Addr netip.Addr
		PDS  []byte
		Key  bool // the key signs for it
	}
	Trust bool // verify nothing
	Late  bool // sign when the signature is needed, and not before
}

func main() {
	err := calm()
	if err == nil {
		err = run(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "negotiators: error:", err)
		os.Exit(1)
	}
}

// calm starts this program once more, with timers that may be late. Go's runtime looks after its threads fifty thousand times a
// second, on a processor that both hosts share, and whether it does so within a negotiation is chance.
func calm() error {
	const slack = 20 * time.Millisecond
	runtime.LockOSThread()
	now, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	if now == int(slack) {
		runtime.UnlockOSThread()
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	if len(os.Args) > 1 && os.Args[1] == "respond" {
		// Both hosts share a processor. What the responder still does when its R2 is out is no part of the initiator's time, whom
		// the R2 wakes up.
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0); err != nil {
			return fmt.Errorf("scheduling policy: %w", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return unix.Exec(self, os.Args, os.Environ())
}

// setAside has all memory that is needed from here on mapped. Pages that are touched for the first time within a negotiation cost a
// third of its time, and how many there are is chance as well.
func setAside() error {
	const room = 16 << 20 // ten times what all negotiations of a run take
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	debug.SetGCPercent(-1)
	_ = make([]byte, room)
	// The runtime keeps what its first collection frees; after a second one it would give some back.
	runtime.GC()
	return nil
}

func run(args []string) error {
	if len(args) != 5 && len(args) != 7 {
		return errors.New(usage)
	}
	h := new(host)
	if err := setAside(); err != nil {
		return err
	}
	raw, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &h.config); err != nil {
		return fmt.Errorf("%s: %w", args[1], err)
	}
	if h.key, err = cga.LoadPrivateKey(args[2]); err != nil {
		return err
	}
	if h.ulids.Local, err = netip.ParseAddr(args[3]); err != nil {
		return err
	}
	if h.ulids.Peer, err = netip.ParseAddr(args[4]); err != nil {
		return err
	}
	if h.socket, err = rawsock.Listen(); err != nil {
		return err
	}
	defer h.socket.Close()
	if h.kernel, err = nl.Dial(); err != nil {
		return err
	}
	defer h.kernel.Close()
	switch {
	case args[0] == "respond" && len(args) == 5:
		return h.respond()
	case args[0] == "initiate" && len(args) == 7:
		return h.initiate(args[5], args[6])
	}
	return errors.New(usage)
}

// A host is an engine with what it decides being done at once, in one goroutine.
type host struct {
	config config
	key    *rsa.PrivateKey
	ulids  engine.ULIDPair
	socket *rawsock.Conn
	kernel *nl.Client

	engine *engine.Engine
	unmade []engine.Sign // signatures that wait until they are needed
	done   bool          // there is a context
	sent   bool          // something, since the last message came
}

// renew begins without contexts. Signatures are there already, unless they are to be late.
func (h *host) renew() error {
	var cfg engine.Config
	rand.Read(cfg.Seed[:])
	err := h.kernel.Flush()
	if err != nil {
		return err
	}
	if h.engine, err = engine.New(cfg); err != nil {
		return err
	}
	h.unmade, h.done = nil, false
	var own []engine.LocalLocator
	for _, l := range h.config.Locators {
		o := engine.LocalLocator{Addr: l.Addr, PDS: l.PDS}
		if l.Key {
			o.KeyID = "own"
		}
		own = append(own, o)
	}
	if err := h.handle(engine.LocalLocators{Locators: own}); err != nil {
		return err
	}
	if !h.config.Late {
		if err := h.sign(); err != nil {
			return err
		}
	}
	return nil
}

// sign makes the signatures that are not there yet.
func (h *host) sign() error {
	for len(h.unmade) > 0 {
		a := h.unmade[0]
		h.unmade = h.unmade[1:]
		sig, err := cga.Sign(h.key, a.Data)
		if err := h.handle(engine.SignDone{ID: a.ID, Signature: sig, Err: err}); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) handle(ev engine.Event) error {
	for _, a := range h.engine.Handle(time.Now(), ev) {
		switch a := a.(type) {
		case engine.SendPacket:
			h.sent = true
			if err := h.socket.WriteTo(a.Payload, a.Src, a.Dst); err != nil {
				return err
			}
		case engine.Sign:
			h.unmade = append(h.unmade, a)
		case engine.Verify:
			if err := h.handle(h.verify(a)); err != nil {
				return err
			}
		case engine.ProgramContext:
			if err := h.program(a); err != nil {
				return err
			}
			h.done = true
		case engine.Dropped:
			if a.Reason == engine.ReasonOwnParameters {
				return &refusal{a.Detail}
			}
			return fmt.Errorf("%v from %v was dropped: %v %s", a.Src, a.Dst, a.Reason, a.Detail)
		}
	}
	return nil
}

// program gives the kernel a context, or what has changed of it.
func (h *host) program(a engine.ProgramContext) error {
	c := nl.Context{
		ULIDLocal: a.ULIDs.Local, ULIDPeer: a.ULIDs.Peer, TagLocal: uint64(a.TagLocal), TagPeer: uint64(a.TagPeer), LocatorsLocal: a.LocatorsLocal,
		SendTimeout: a.SendTimeout, KeepaliveTimeout: a.KeepaliveTimeout, KeepaliveInterval: a.KeepaliveInterval,
	}
	for _, p := range a.Paths {
		c.Paths = append(c.Paths, nl.Path(p))
	}
	if h.done {
		return h.kernel.SetContext(c)
	}
	return h.kernel.NewContext(c)
}

// A refusal is why the engine announces no locators of ours.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

func (h *host) verify(a engine.Verify) engine.VerifyDone {
	if h.config.Trust {
		return engine.VerifyDone{ID: a.ID, BadLocator: -1}
	}
	list := make([]cga.PeerLocator, len(a.List.Locators))
	for i, l := range a.List.Locators {
		list[i] = cga.PeerLocator{Addr: l.Addr, Method: uint8(l.Method)}
	}
	bad, err := cga.VerifyLocators(a.ULID, a.PDS, list, a.List.Generation, a.Signature)
	return engine.VerifyDone{ID: a.ID, BadLocator: bad, Err: err}
}

// receive handles the next message.
func (h *host) receive(buf []byte) error {
	n, src, dst, hops, err := h.socket.ReadFrom(buf)
	if err != nil {
		return err
	}
	h.sent = false
	if err := h.handle(engine.PacketIn{Src: src, Dst: dst, HopLimit: hops, Payload: append([]byte(nil), buf[:n]...)}); err != nil {
		return err
	}
	if h.sent {
		return nil
	}
	// What came to no message waits for a signature.
	return h.sign()
}

func (h *host) respond() error {
	buf := make([]byte, 2048)
	for {
		err := h.renew()
		if refused := new(refusal); errors.As(err, &refused) {
			fmt.Fprintln(os.Stderr, "negotiators: refused:", refused.why)
			time.Sleep(patience) // the initiator has the same reason, and says so
			return nil
		}
		if err != nil {
			return err
		}
		for !h.done {
			if err := h.receive(buf); err != nil {
				return err
			}
		}
		// Both hosts share a processor, and the clock of the initiator still runs.
		time.Sleep(pause / 5)
	}
}

func (h *host) initiate(runs, out string) error {
	n, err := strconv.Atoi(runs)
	if err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	buf := make([]byte, 2048)
	for i := range n {
		err := h.renew()
		if refused := new(refusal); errors.As(err, &refused) {
			// Nothing is wrong with the measurement: this is what comes out.
			fmt.Fprintf(w, "refused: %s\n", refused.why)
			break
		}
		if err != nil {
			return err
		}
		// What ends the contexts before, in either kernel or program, is no part of this one's time.
		time.Sleep(pause)
		if err := h.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		start := time.Now()
		if err := h.handle(engine.Trigger{ULIDs: h.ulids}); err != nil {
			return err
		}
		for !h.done {
			if err := h.receive(buf); err != nil {
				return errors.Join(fmt.Errorf("negotiation %d: %w", i+1, err), w.Flush(), f.Close())
			}
		}
		fmt.Fprintf(w, "%d\n", time.Since(start).Nanoseconds())
	}
	return errors.Join(w.Flush(), f.Close())
}
