// SPDX-License-Identifier: MIT

package run

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

var (
	ulidA = netip.MustParseAddr("2001:db8:a1::1")
	ulidB = netip.MustParseAddr("2001:db8:b1::1")
)

// still builds a Loop that does not run, to carry out actions one by one.
func still(t *testing.T) (*host, *Loop) {
	t.Helper()
	p := newPair(t)
	p.a.build(t, p.wires)
	l := p.a.loop
	l.now = time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	l.pollAt = l.now.Add(pollInterval)
	l.keys = p.a.keys
	l.sender = newSender(p.a.socket, discard, l.stats)
	l.workers = newWorkers()
	l.saver = newSaver(p.a.file(), discard, l.stats)
	t.Cleanup(func() {
		l.workers.close()
		l.sender.close()
		l.saver.close()
	})
	return p.a, l
}

func programmed() engine.ProgramContext {
	return engine.ProgramContext{
		ULIDs: engine.ULIDPair{Local: ulidA, Peer: ulidB}, TagLocal: 1, TagPeer: 2,
		Paths: []engine.LocatorPair{{Local: ulidA, Peer: ulidB}}, LocatorsLocal: []netip.Addr{ulidA},
		SendTimeout: 15 * time.Second, KeepaliveTimeout: 15 * time.Second, KeepaliveInterval: 5 * time.Second,
	}
}

func TestActionsAreCarriedOutInOrder(t *testing.T) {
	h, l := still(t)
	for _, a := range []engine.Action{
		programmed(),
		engine.SetReap{Tag: 1, State: reap.Exploring},
		programmed(),
		engine.SetReap{Tag: 1, State: reap.Operational},
		engine.RemoveContext{Tag: 1},
		engine.RemoveContext{Tag: 1},
		programmed(),
	} {
		l.apply(a)
	}
	want := []string{
		"new 000000000001", "reap 000000000001 1", "set 000000000001", "reap 000000000001 0", "delete 000000000001",
		"new 000000000001",
	}
	if d := cmp.Diff(want, h.module.called()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestPacketsAreSentInOrder(t *testing.T) {
	h, l := still(t)
	to := h.socket.wires.socket(ulidB)
	for i := range byte(40) {
		l.apply(engine.SendPacket{Src: ulidA, Dst: ulidB, Payload: []byte{i}})
	}
	for i := range byte(40) {
		if d := <-to.in; d.payload[0] != i || d.src != ulidA || d.dst != ulidB {
			t.Fatalf("packet %d is %+v", i, d)
		}
	}
}

func TestProgramMakesUpForWhatOthersDid(t *testing.T) {
	h, l := still(t)
	l.apply(programmed())
	// Somebody deleted the context, and the event is not here yet.
	delete(h.module.contexts, 1)
	l.apply(programmed())
	if h.module.contexts[1] == nil || !l.held[1].inKernel {
		t.Error("the context was not created again")
	}
	delete(h.module.contexts, 1)
	l.apply(engine.RemoveContext{Tag: 1})
	if n := l.stats.kernelErrors.Load(); n != 0 {
		t.Errorf("%d errors counted", n)
	}
}

func TestRefusalsOfTheKernelAreTriedAgain(t *testing.T) {
	h, l := still(t)
	h.module.fail["new"] = unix.ENOMEM
	l.apply(programmed())
	h.module.fail["reap"] = unix.EINVAL
	l.apply(engine.SetReap{Tag: 1})
	if n := l.stats.kernelErrors.Load(); n != 2 {
		t.Errorf("%d errors counted, want 2", n)
	}
	if !l.held[1].broken || l.held[1].inKernel || l.pollAt != l.now.Add(resyncDelay) {
		t.Errorf("held %+v, next look in %v", l.held[1], l.pollAt.Sub(l.now))
	}
	if len(h.journal.lines(t, "context not programmed")) != 1 || len(h.journal.lines(t, "REAP state not set")) != 1 {
		t.Error("the errors were not logged")
	}
	// An error that comes back does not make the daemon busy: looks are a resyncDelay apart.
	l.apply(programmed())
	if l.pollAt != l.now.Add(resyncDelay) {
		t.Errorf("next look in %v", l.pollAt.Sub(l.now))
	}
	h.module.fail["delete"] = unix.EPERM
	l.held[1].inKernel = true
	l.apply(engine.RemoveContext{Tag: 1})
	if len(h.journal.lines(t, "context not removed")) != 1 {
		t.Error("the context that stays was not logged")
	}
}

func TestManyPathsAndLocatorsAreCut(t *testing.T) {
	a := programmed()
	a.Paths = slices.Repeat(a.Paths, 20)
	a.LocatorsLocal = slices.Repeat(a.LocatorsLocal, 50)
	c := kernelContext(a)
	if len(c.Paths) != nl.MaxPaths || len(c.LocatorsLocal) != nl.MaxLocators {
		t.Errorf("%d paths and %d locators", len(c.Paths), len(c.LocatorsLocal))
	}
}

// unknown is an action that nobody carries out.
type unknown struct{ engine.Action }

func TestUnknownActions(t *testing.T) {
	h, l := still(t)
	l.strict = false
	l.apply(unknown{})
	if len(h.journal.lines(t, "action run.unknown is not carried out")) != 1 {
		t.Error("the action was not logged")
	}
	l.strict = true
	defer func() {
		if recover() == nil {
			t.Error("the action did not panic")
		}
	}()
	l.apply(unknown{})
}

// declared finds the types with a marker method in a package.
func declared(t *testing.T, dir, method string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	var types []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == method && fn.Recv != nil {
				if id, ok := fn.Recv.List[0].Type.(*ast.Ident); ok {
					types = append(types, id.Name)
				}
			}
		}
	}
	return types
}

func TestEveryActionAndEventIsHandled(t *testing.T) {
	for _, tc := range []struct{ dir, method, file, pkg string }{
		{"../engine", "action", "effects.go", "engine"},
		{"../nl", "event", "kernel.go", "nl"},
	} {
		b, err := os.ReadFile(tc.file)
		if err != nil {
			t.Fatal(err)
		}
		types := declared(t, tc.dir, tc.method)
		if len(types) < 8 {
			t.Errorf("only %d types with method %s in %s", len(types), tc.method, tc.dir)
		}
		for _, name := range types {
			if !strings.Contains(string(b), "\tcase "+tc.pkg+"."+name+":\n") {
				t.Errorf("%s.%s is not handled in %s", tc.pkg, name, tc.file)
			}
		}
	}
}

// What is told goes to the log and to the event stream in the same words.
func TestReports(t *testing.T) {
	h, l := still(t)
	ids := engine.ULIDPair{Local: ulidA, Peer: ulidB}
	pair, other := engine.LocatorPair(ids), engine.LocatorPair{Local: ulidB, Peer: ulidA}
	const told = "2001:db8:a1::1 -> 2001:db8:b1::1"
	base := map[string]any{
		"time": "2030-01-02T03:04:05.000000006Z", "level": "INFO", "ulid_local": "2001:db8:a1::1", "ulid_peer": "2001:db8:b1::1",
		"tag": "0000000000ab",
	}
	with := func(m map[string]any) map[string]any {
		for k, v := range base {
			if _, ok := m[k]; !ok {
				m[k] = v
			}
		}
		return m
	}
	for _, tc := range []struct {
		action engine.Action
		want   map[string]any
	}{
		{engine.StateChanged{ULIDs: ids, TagLocal: 0xab, From: shim6.StateI2Sent, To: shim6.StateEstablished, Why: "R2"},
			with(map[string]any{"msg": "state changed", "from": "I2-SENT", "to": "ESTABLISHED", "why": "R2"})},
		{engine.ReapChanged{ULIDs: ids, TagLocal: 0xab, From: reap.Operational, To: reap.Exploring, Why: "send timeout"},
			with(map[string]any{"msg": "reap state changed", "from": "Operational", "to": "Exploring", "why": "send timeout"})},
		{engine.ProbeSent{ULIDs: ids, TagLocal: 0xab, Pair: pair, State: reap.InboundOk, Nonce: 7},
			with(map[string]any{"msg": "probe sent", "pair": told, "state": "InboundOk", "nonce": 7.0})},
		{engine.ProbeReceived{ULIDs: ids, TagLocal: 0xab, Pair: pair, State: reap.Exploring},
			with(map[string]any{"msg": "probe received", "pair": told, "state": "Exploring", "reports": 0.0})},
		{engine.PathChanged{ULIDs: ids, TagLocal: 0xab, From: pair, To: other},
			with(map[string]any{"msg": "path changed", "from": told, "to": "2001:db8:b1::1 -> 2001:db8:a1::1"})},
		{engine.SwitchFailed{ULIDs: ids, TagLocal: 0xab, To: pair, Why: "no answer"},
			with(map[string]any{"msg": "switch failed", "level": "WARN", "pair": told, "why": "no answer"})},
		{engine.MessageSent{ULIDs: ids, TagLocal: 0xab, Pair: pair, Type: wire.TypeI1},
			with(map[string]any{"msg": "message sent", "level": "DEBUG", "pair": told, "type": "I1"})},
		{engine.MessageReceived{ULIDs: ids, TagLocal: 0xab, Pair: pair, Type: wire.TypeUpdateAck},
			with(map[string]any{"msg": "message received", "level": "DEBUG", "pair": told, "type": "UpdateAck"})},
		{engine.Dropped{Src: ulidB, Dst: ulidA, Reason: engine.ReasonBadTag, Detail: "zero"}, map[string]any{
			"msg": "dropped", "time": base["time"], "level": "DEBUG", "src": "2001:db8:b1::1", "dst": "2001:db8:a1::1",
			"reason": "bad-tag", "detail": "zero",
		}},
	} {
		l.apply(tc.action)
		msg := tc.want["msg"].(string)
		lines := h.journal.lines(t, msg)
		if len(lines) != 1 {
			t.Errorf("%q was logged %d times", msg, len(lines))
			continue
		}
		if d := cmp.Diff(tc.want, lines[0]); d != "" {
			t.Errorf("%s (-want +got):\n%s", msg, d)
		}
	}
}

// The messages are what the control interface calls the events.
func TestMessages(t *testing.T) {
	h, l := still(t)
	l.onKernel(nl.TCPKick{At: 5, ULIDLocal: ulidA, ULIDPeer: ulidB, Sockets: 3})
	l.held[1] = &held{ulids: engine.ULIDPair{Local: ulidA, Peer: ulidB}}
	l.onKernel(nl.SendTimeout{At: 6, TagLocal: 1, Epoch: 9})
	l.onKernel(nl.RTO{At: 7, TagLocal: 1}) // comes to nothing, for there is no context, and to no complaint
	for msg, want := range map[string]map[string]any{
		"tcp kick":     {"sockets": 3.0, "boottime_ns": 5.0, "ulid_local": "2001:db8:a1::1"},
		"send timeout": {"tag": "000000000001", "boottime_ns": 6.0, "ulid_peer": "2001:db8:b1::1"},
	} {
		lines := h.journal.lines(t, msg)
		if len(lines) != 1 {
			t.Fatalf("%q was logged %d times", msg, len(lines))
		}
		for k, v := range want {
			if lines[0][k] != v {
				t.Errorf("%s: %s is %v, want %v", msg, k, lines[0][k], v)
			}
		}
	}
}

func TestDropsAreToldWithinLimits(t *testing.T) {
	h, l := still(t)
	for range 1000 {
		l.apply(engine.Dropped{Src: ulidB, Dst: ulidA, Reason: engine.ReasonBadTag})
	}
	if n := len(h.journal.lines(t, "dropped")); n != dropsPerSecond {
		t.Errorf("%d drops were told in a second, want %d", n, dropsPerSecond)
	}
	l.now = l.now.Add(time.Second)
	l.apply(engine.Dropped{Src: ulidB, Dst: ulidA, Reason: engine.ReasonBadTag})
	if n := len(h.journal.lines(t, "dropped")); n != dropsPerSecond+1 {
		t.Errorf("%d drops were told in two seconds", n)
	}
}

func TestSigningAndVerifying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, l := still(t)
		l.apply(engine.Sign{ID: 4, KeyID: "host", Data: []byte("data")})
		done := (<-l.workers.results).(engine.SignDone)
		if done.ID != 4 || done.Err != nil || len(done.Signature) != 128 {
			t.Errorf("signature %+v", done)
		}
		l.apply(engine.Sign{ID: 5, KeyID: "gone"})
		if done := (<-l.workers.results).(engine.SignDone); done.ID != 5 || !errors.Is(done.Err, errNoKey) {
			t.Errorf("signature with a key that is gone: %+v", done)
		}
		addr := h.keys.addr(t, "2001:db8:a1::")
		pds, _, _ := h.keys.ParamsFor(addr)
		l.apply(engine.Verify{ID: 6, ULID: addr, PDS: pds.Marshal()})
		if done := (<-l.workers.results).(engine.VerifyDone); done.ID != 6 || done.Err == nil || done.BadLocator != -1 {
			t.Errorf("verification without a list: %+v", done)
		}
	})
}

func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		running, most := make(chan int, 1), 0
		running <- 0
		hold := make(chan struct{})
		job := func() engine.Event {
			n := <-running + 1
			most = max(most, n)
			running <- n
			<-hold
			running <- <-running - 1
			return engine.Tick{}
		}
		accepted := 0
		for range 2 * workQueue {
			synctest.Wait()
			if w.submit(job) {
				accepted++
			}
		}
		if accepted != workQueue+workerCount {
			t.Errorf("%d jobs were accepted, want %d", accepted, workQueue+workerCount)
		}
		close(hold)
		for range accepted {
			<-w.results
		}
		if most != workerCount {
			t.Errorf("%d jobs ran at a time, want %d", most, workerCount)
		}
		w.close()
	})
}

func TestFullWorkersAreAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := still(t)
		hold := make(chan struct{})
		for l.workers.submit(func() engine.Event { <-hold; return engine.Tick{} }) {
			synctest.Wait()
		}
		l.apply(engine.Sign{ID: 1})
		l.apply(engine.Verify{ID: 2})
		want := []engine.Event{
			engine.SignDone{ID: 1, Err: errBusy}, engine.VerifyDone{ID: 2, BadLocator: -1, Err: errBusy},
		}
		same := cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })
		if d := cmp.Diff(want, l.pending, same); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if n := l.stats.workRefused.Load(); n != 2 {
			t.Errorf("%d refusals counted", n)
		}
		close(hold)
	})
}

// stuck is a socket that takes no packets.
type stuck struct {
	Socket
	hold chan struct{}
}

func (s stuck) WriteTo([]byte, netip.Addr, netip.Addr) error {
	<-s.hold
	return unix.ENOBUFS
}

func TestSenderNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stats, j := new(counters), new(journal)
		log, _, err := NewLogger(j, config.Log{Level: "info", Format: "json"})
		if err != nil {
			t.Fatal(err)
		}
		s := stuck{hold: make(chan struct{})}
		x := newSender(s, log, stats)
		synctest.Wait()
		for range sendQueue + 101 {
			x.send(time.Now(), engine.SendPacket{Src: ulidA, Dst: ulidB})
			synctest.Wait()
		}
		if n := stats.packetsNotQueued.Load(); n != 100 {
			t.Errorf("%d packets were lost, want 100", n)
		}
		close(s.hold)
		x.close()
		if n := stats.packetsNotSent.Load(); n != sendQueue+1 {
			t.Errorf("%d packets were refused, want %d", n, sendQueue+1)
		}
		if n := len(j.lines(t, "packet not sent")); n != errorsPerSecond {
			t.Errorf("%d refusals were logged, want %d", n, errorsPerSecond)
		}
	})
}

func TestSendErrorsOfDeadPathsAreNoWarnings(t *testing.T) {
	for err, want := range map[error]string{unix.ENETUNREACH: "INFO", unix.EADDRNOTAVAIL: "INFO", unix.EPERM: "WARN"} {
		if got := sendErrorLevel(err).String(); got != want {
			t.Errorf("%v is logged as %s, want %s", err, got, want)
		}
	}
}

func TestUnreachablePeersAreNotFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.run(t, p.wires)
		defer p.a.stop()
		// Nobody has the peer's address: the raw socket answers ENETUNREACH.
		p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: netip.MustParseAddr("2001:db8:c1::1")}
		time.Sleep(10 * time.Second)
		s, err := p.a.loop.Backend().Stats(t.Context())
		if err != nil || s.Daemon["packets_not_sent"] == 0 || s.Kernel["tcp_kicks"] != 4 || s.Engine["sent I1"] == 0 {
			t.Errorf("stats %+v, %v", s, err)
		}
		if c := p.a.contexts(t); len(c) != 1 || c[0].State != "I1-SENT" || c[0].Tag == ctl.FormatTag(0) {
			t.Errorf("contexts %+v", c)
		}
	})
}
