// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/failnth"
	"shim6/test/lab/genl"
	"shim6/test/lab/kcov"
	"shim6/test/lab/kernel"
	"shim6/test/lab/module"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
)

var noMemory = Case{
	Name:  "no-memory",
	About: "each allocation of loading and of each request fails in its turn, and nothing is left of what failed",
	Only:  []string{kernel.DebugUML},
	Limit: 5 * time.Minute,
	Run:   runNoMemory,
}

// mostAllocations is more than any request makes.
const mostAllocations = 5000

func runNoMemory(e *Env) error {
	inject, err := failnth.Open()
	if err != nil {
		return err
	}
	defer inject.Close()
	if err := e.loadWithoutMemory(inject); err != nil {
		return err
	}
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	n, err := node.New("n")
	if err != nil {
		return err
	}
	defer func() { e.Works("the namespace goes away", n.Delete()) }()
	var socket *genl.Socket
	if err := n.Do(func() (err error) { socket, err = genl.Open(); return err }); err != nil {
		return err
	}
	defer socket.Close()
	for _, r := range scarceRequests() {
		if err := e.requestWithoutMemory(inject, socket, r); err != nil {
			return err
		}
	}
	return nil
}

// loadWithoutMemory loads the main module until all the allocations of its own start have failed once. Those before are the
// kernel's, which complains about some itself.
func (e *Env) loadWithoutMemory(inject *failnth.Injector) error {
	f, err := os.Open(filepath.Join(report.KmodDir, mainModule+".ko"))
	if err != nil {
		return err
	}
	defer f.Close()
	trace, err := kcov.Start(traceSize)
	if err != nil {
		return err
	}
	defer func() { e.Works("coverage ends", trace.Stop()) }()
	params := []byte{0}
	load := func() error {
		if _, _, errno := unix.RawSyscall(unix.SYS_FINIT_MODULE, f.Fd(), uintptr(unsafe.Pointer(&params[0])), 0); errno != 0 {
			return errno
		}
		return nil
	}
	// The kernel makes some only when a module is loaded for the first time, and others only later.
	all := 0
	for range 3 {
		made, err := inject.Count(mostAllocations, load)
		if err != nil {
			return fmt.Errorf("loading: %w", err)
		}
		all = max(all, made)
		if err := unloadSoon(mainModule); err != nil {
			return err
		}
	}
	refused, failed := 0, 0
	places := map[string]bool{}
	// kmemleak makes an allocation for each, and does without when it is refused: every other is its own. How many come before
	// the module's differs by one or two pairs from one time to the next, so that each number is tried several times.
	const tries = 4
	for n, ran := all, true; ran && n > 0; n-- {
		ran = false
		for range tries {
			trace.Reset()
			made, err := inject.Count(n, load)
			users, usersErr := module.Users(mainModule)
			if usersErr != nil {
				return usersErr
			}
			if (err != nil) != (users == "") {
				return fmt.Errorf("loading with allocation %d refused: %w, and /proc/modules says %q", n, err, users)
			}
			if err == nil {
				if err := unloadSoon(mainModule); err != nil {
					return err
				}
			}
			if len(trace.PCs()) == 0 {
				continue // the module did not get to run
			}
			ran = true
			if made == n {
				refused++
			}
			if err != nil {
				failed++
				places[fmt.Sprint(trace.PCs())] = true
			}
		}
	}
	// Loading cannot do without the module's data for a namespace and its number as a family. It can do without messages to
	// nobody, and without hash tables of full size.
	e.Check("loading survives every allocation that fails", len(places) > 1, "%d refused of %d, of which %d made it fail, in %d places",
		refused, all, failed, len(places))
	return nil
}

func (e *Env) judgeRefusals(what string, refused int, last error) {
	e.Check(what+" survives every allocation that fails", refused > 0 && last == nil, "%d allocations, without a failure: %s",
		refused, or(errText(last), "done"))
}

// A scarceRequest is one to which memory is refused.
type scarceRequest struct {
	name    string
	command uint8
	flags   netlink.HeaderFlags
	attrs   []byte
	// before is what must have been done.
	before []request
	// contexts is how many there are after a failure, either one for a request that may fail when it has been granted.
	contexts int
}

const either = -1

func scarceRequests() []scarceRequest {
	enable := request{command: genl.CfgSet, attrs: genl.Attrs(genl.U8(genl.Enabled, 1), genl.String(genl.Heuristic, "none"))}
	disable := request{command: genl.CfgSet, attrs: genl.Attrs(genl.U8(genl.Enabled, 0), genl.String(genl.Heuristic, "none"))}
	flush := request{command: genl.CtxFlush}
	good := request{command: genl.CtxNew, attrs: genl.Attrs(goodContext().list()...)}
	tag := genl.U64(genl.TagLocal, goodTag)
	other := genl.Attrs(tag, genl.U64(genl.TagPeer, 77), genl.Nest(genl.Paths, path(local2, peer1), path(local1, peer1)),
		genl.Nest(genl.LocatorsLocal, genl.Addr(genl.Locator, local1), genl.Addr(genl.Locator, local2)))
	one := []request{flush, enable, good}
	return []scarceRequest{
		{"hooking", genl.CfgSet, 0, genl.U8(genl.Enabled, 1), []request{flush, disable}, 0},
		{"choosing heuristics", genl.CfgSet, 0, genl.String(genl.Heuristic, "default+eui64+limit"), []request{flush, enable}, 0},
		{"the first context", genl.CtxNew, 0, good.attrs, []request{flush, disable}, 0},
		{"a context", genl.CtxNew, 0, genl.Attrs(another().list()...), one, 1},
		{"a change of paths", genl.CtxSet, 0, other, one, 1},
		{"a path state", genl.ReapSet, 0, genl.Attrs(tag, genl.U8(genl.ReapState, 1), genl.U32(genl.ReapEpoch, 1)), one, 1},
		{"showing a context", genl.CtxGet, 0, tag, one, 1},
		{"showing all contexts", genl.CtxGet, netlink.Dump, nil, one, 1},
		{"showing candidates", genl.CandGet, netlink.Dump, nil, one, 1},
		{"showing the configuration", genl.CfgGet, 0, nil, one, 1},
		{"showing heuristics", genl.HeurGet, 0, nil, one, 1},
		{"showing statistics", genl.StatsGet, 0, nil, one, 1},
		{"removing a context", genl.CtxDel, 0, tag, one, either},
		{"flushing", genl.CtxFlush, 0, nil, one, either},
	}
}

func (e *Env) requestWithoutMemory(inject *failnth.Injector, socket *genl.Socket, r scarceRequest) error {
	for n := 1; n < mostAllocations; n++ {
		for _, b := range r.before {
			if err := doOn(socket, b.command, b.attrs); err != nil {
				return fmt.Errorf("before %s: %w", r.name, err)
			}
		}
		message := socket.Message(r.command, netlink.Request|netlink.Acknowledge|r.flags, r.attrs)
		refused, err := inject.Call(n, func() error { return socket.Send(message) })
		if err == nil {
			err = socket.Result()
		}
		if !refused {
			e.judgeRefusals(r.name, n-1, err)
			return nil
		}
		if !slices.ContainsFunc([]error{nil, unix.ENOMEM, unix.ENOBUFS}, func(want error) bool { return errors.Is(err, want) }) {
			return fmt.Errorf("%s with allocation %d refused: %w", r.name, n, err)
		}
		socket.Drain()
		left, countErr := countContexts(socket)
		if countErr != nil {
			return countErr
		}
		if err != nil && r.contexts != either && left != r.contexts && !lost(err) {
			e.Check(r.name+" leaves nothing when it fails", false, "%v, allocation %d: %d contexts, not %d", err, n, left, r.contexts)
		}
	}
	return fmt.Errorf("%s makes more than %d allocations", r.name, mostAllocations)
}

// lost tells whether an error may be about the reply, the request having been granted.
func lost(err error) bool { return errors.Is(err, unix.ENOBUFS) }

func doOn(s *genl.Socket, command uint8, attrs []byte) error {
	if err := s.Send(s.Message(command, netlink.Request|netlink.Acknowledge, attrs)); err != nil {
		return err
	}
	return s.Result()
}

// countContexts counts by asking for those that the requests know.
func countContexts(s *genl.Socket) (int, error) {
	count := 0
	for _, tag := range []uint64{goodTag, goodTag + 1} {
		err := doOn(s, genl.CtxGet, genl.U64(genl.TagLocal, tag))
		switch {
		case err == nil:
			count++
		case !errors.Is(err, unix.ENOENT):
			return 0, err
		}
	}
	return count, nil
}
