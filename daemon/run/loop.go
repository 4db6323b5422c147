// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/wire"
)

const (
	// pollInterval is how often the kernel's contexts are compared with the engine's, and their idle times told.
	pollInterval = 30 * time.Second
	// contextsAtOnce is how many contexts are looked at before whatever else there is to do has its turn.
	contextsAtOnce = 32
	// resyncDelay is how soon that happens after something went wrong between the two.
	resyncDelay = time.Second
	// refreshGap is the least time between two looks at the local addresses.
	refreshGap = 100 * time.Millisecond

	packetQueue  = 256
	icmpQueue    = 16
	kernelQueue  = 1024
	requestQueue = 16
)

// A Loop owns the engine and everything that acts for it.
type Loop struct {
	cfg     *config.Config
	load    func() (*config.Config, error)
	file    string // of the configuration
	level   *slog.LevelVar
	version string
	ports   Ports
	engine  *engine.Engine
	report  reporter
	log     *slog.Logger
	stats   *counters
	logLost func() uint64
	alive   func()
	every   time.Duration // between two calls of alive

	keys     Keys
	keyErr   error
	keyStamp time.Time
	locators []ctl.Locator
	told     []engine.LocalLocator // the same, as the engine has them
	health   map[netip.Addr]*health
	routed   map[engine.LocatorPair]bool // pairs in use: whether they had a route
	valid    map[netip.Addr]time.Time    // until when, without those that are for ever
	hints    []engine.Hint               // for when the engine knows the locators

	held      map[wire.ContextTag]*held
	sources   sources
	icmpLimit limiter
	sender    *sender
	workers   *workers
	saved     savedFile
	saver     *saver

	packets  chan engine.PacketIn
	icmp     chan engine.ICMPError
	kernel   chan nl.Event
	requests chan func()
	reload   chan struct{}
	fatal    chan error
	ready    chan struct{}
	stopped  chan struct{}

	started              time.Time
	now                  time.Time // of what is being handled
	saveAt               time.Time // zero when everything is saved
	savedAt              time.Time
	pass                 *savePass // of a save that is going on
	pollAt               time.Time
	comparing            *comparison    // with the kernel, nil for none
	refreshed, refreshAt time.Time      // of the local addresses; refreshAt and settleAt are zero for none
	settleAt             time.Time      // of a locator
	flowsAt              time.Time      // zero where no peer is configured for it
	pending              []engine.Event // made by effects, to be handled next
	looking              bool           // for who holds contexts
	lookers              sync.WaitGroup
	strict               bool // panic where something cannot happen
}

// Options are what a Loop is made from.
type Options struct {
	Config  *config.Config
	Load    func() (*config.Config, error) // reads it again, nil for always the same
	File    string                         // that Load reads
	Level   *slog.LevelVar                 // of the Log, nil where it cannot be changed
	Version string
	Boot    string   // names the kernel's boot
	Seed    [32]byte // of the engine's randomness, unpredictable
	Log     *slog.Logger
	LogLost func() uint64 // lines that the log lost, nil for none
	// Alive is called every so often by the Loop's goroutine, unless something holds that up; nil for never.
	Alive      func()
	AliveEvery time.Duration
	Events     *ctl.Events
	Ports      Ports
}

// New makes a Loop. What it is connected to is the Loop's to close once Run is called.
func New(o Options) (*Loop, error) {
	cfg, warning := engineConfig(o.Config, o.Ports.Room())
	if warning != "" {
		o.Log.Warn(warning)
	}
	cfg.Seed = o.Seed
	e, err := engine.New(cfg)
	if err != nil {
		return nil, err
	}
	if o.Level == nil {
		o.Level = new(slog.LevelVar)
	}
	if o.Load == nil {
		o.Load = func() (*config.Config, error) { return o.Config, nil }
	}
	if o.LogLost == nil {
		o.LogLost = func() uint64 { return 0 }
	}
	if o.Alive == nil {
		o.Alive, o.AliveEvery = func() {}, pollInterval
	}
	return &Loop{
		cfg: o.Config, load: o.Load, file: o.File, level: o.Level, version: o.Version, ports: o.Ports, engine: e, log: o.Log, logLost: o.LogLost,
		alive: o.Alive, every: o.AliveEvery,
		report: reporter{log: o.Log, events: o.Events}, stats: new(counters),
		saved:    newSavedFile(o.Config.StateFile(), o.Boot, o.Config.Limits.Contexts),
		held:     make(map[wire.ContextTag]*held),
		packets:  make(chan engine.PacketIn, packetQueue),
		icmp:     make(chan engine.ICMPError, icmpQueue),
		kernel:   make(chan nl.Event, kernelQueue),
		requests: make(chan func(), requestQueue),
		reload:   make(chan struct{}, 1),
		fatal:    make(chan error, 1),
		ready:    make(chan struct{}),
		stopped:  make(chan struct{}),
	}, nil
}

// Ready is closed when the kernel module is set up and its contexts are adopted.
func (l *Loop) Ready() <-chan struct{} { return l.ready }

// Run works until ctx is done, which is no error, or something fails that the daemon cannot do without. Contexts stay in
// the kernel in either case.
func (l *Loop) Run(ctx context.Context) error {
	l.now = time.Now()
	l.started = l.now
	l.pollAt = l.now.Add(pollInterval)
	l.sender = newSender(l.ports.Socket, l.log, l.stats)
	l.workers = newWorkers()
	l.saver = newSaver(l.saved, l.log, l.stats)

	var readers sync.WaitGroup
	err := l.start()
	if err == nil {
		readers.Go(l.readPackets)
		readers.Go(l.readICMP)
		readers.Go(l.readKernel)
		close(l.ready)
		err = l.serve(ctx)
		l.unsetHeuristic()
	}
	close(l.stopped)
	err = errors.Join(err, l.ports.Socket.Close(), l.ports.Errors.Close(), l.ports.Events.Close())
	readers.Wait()
	l.lookers.Wait()
	l.workers.close()
	l.sender.close()
	l.saveAll()
	l.saver.close()
	return err
}

// serve handles what comes, one thing after the other.
func (l *Loop) serve(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	beat := time.NewTicker(l.every)
	defer beat.Stop()
	for {
		timer.Reset(time.Until(l.alarm()))
		var handle func()
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.fatal:
			return err
		case p := <-l.packets:
			handle = func() { l.handle(p) }
		case e := <-l.icmp:
			handle = func() { l.onICMP(e) }
		case ev := <-l.kernel:
			handle = func() { l.onKernel(ev) }
		case ev := <-l.workers.results:
			handle = func() { l.handle(ev) }
		case request := <-l.requests:
			handle = request
		case <-l.ports.Changes:
			handle = l.refreshSoon
		case <-l.reload:
			handle = l.onReload
		case <-timer.C:
			handle = l.onTime
		case <-beat.C:
			handle = l.alive
		}
		l.now = time.Now()
		handle()
		if l.sources.stale {
			l.keepSources(false)
		}
	}
}

// alarm is when onTime must be called.
func (l *Loop) alarm() time.Time {
	at := l.pollAt
	for _, t := range []time.Time{l.engine.Deadline(), l.saveAt, l.refreshAt, l.settleAt, l.flowsAt} {
		if !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return at
}

func (l *Loop) onTime() {
	due := func(t time.Time) bool { return !t.IsZero() && !t.After(l.now) }
	if due(l.engine.Deadline()) {
		l.handle(engine.Tick{})
	}
	if due(l.saveAt) {
		l.save()
	}
	if due(l.refreshAt) || due(l.settleAt) {
		l.refresh()
	}
	if due(l.flowsAt) {
		l.takeFlows()
	}
	if due(l.pollAt) {
		l.pollAt = l.now.Add(pollInterval)
		if l.comparing == nil {
			l.comparing = l.compare()
		}
		if l.comparing != nil {
			l.compareSome()
		}
		if l.comparing != nil {
			l.pollAt = l.now
		}
	}
}

// handle gives the engine an event, carries out its actions, and goes on with the events that these made.
func (l *Loop) handle(ev engine.Event) {
	l.pending = append(l.pending, ev)
	for len(l.pending) > 0 {
		ev, l.pending = l.pending[0], l.pending[1:]
		for _, a := range l.engine.Handle(l.now, ev) {
			l.apply(a)
		}
	}
}

// call runs fn in the loop's goroutine and waits for it.
func (l *Loop) call(ctx context.Context, fn func()) error {
	done := make(chan struct{})
	select {
	case l.requests <- func() { defer close(done); fn() }:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.stopped:
		return context.Canceled
	}
	select {
	case <-done:
		return nil
	case <-l.stopped:
		return context.Canceled
	}
}

// impossible is for what only a mistake in this program can bring about.
func (l *Loop) impossible(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if l.strict {
		panic(msg)
	}
	l.log.Error(msg)
}
