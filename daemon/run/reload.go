// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/engine"
)

// Reload makes the Loop read the configuration file, the key directory and the local addresses again.
func (l *Loop) Reload() {
	select {
	case l.reload <- struct{}{}:
	default:
	}
}

// onReload is Reload for a signal: what is wrong is logged.
func (l *Loop) onReload() {
	if _, err := l.reconfigure(); err != nil {
		for line := range strings.Lines(err.Error()) {
			l.log.Error("configuration not reloaded", "error", strings.TrimSuffix(line, "\n"))
		}
	}
	l.keyStamp = time.Time{}
	l.refresh()
}

// Reload is that of the control interface.
func (b backend) Reload(ctx context.Context) (r ctl.Reloaded, err error) {
	callErr := b.l.call(ctx, func() {
		if r, err = b.l.reconfigure(); err == nil {
			b.l.keyStamp = time.Time{}
			b.l.refresh()
		}
	})
	if callErr != nil {
		return r, callErr
	}
	return r, err
}

// reconfigure takes over the configuration file, or leaves everything as it is where something cannot be had.
func (l *Loop) reconfigure() (r ctl.Reloaded, err error) {
	next, err := l.load()
	if err != nil {
		return r, &ctl.Error{
			Status: http.StatusBadRequest, Message: err.Error(), Hint: "nothing was changed; check the file with: shim6d --check",
		}
	}
	r = ctl.Reloaded{Applied: []string{}, Restart: []string{}, Warnings: append([]string{}, next.Warnings()...)}
	settings, warning := engineConfig(next, l.ports.Room())
	if warning != "" {
		r.Warnings = append(r.Warnings, warning)
	}
	apply, wait := l.cfg.Difference(next)
	r.Applied, r.Restart = append(r.Applied, apply...), append(r.Restart, wait...)
	old := l.cfg
	l.cfg = next
	if err := l.changeSettings(old); err != nil {
		l.cfg = old
		// What the kernel took before it refused goes back, too.
		return r, errors.Join(fmt.Errorf("kernel module: %w", err), l.changeSettings(next))
	}
	if old.Hints.ICMP != next.Hints.ICMP {
		if err := l.ports.Errors.Want(next.Hints.ICMP); err != nil {
			l.log.Error("hints.icmp not changed", "error", err)
		}
	}
	l.setLevel(next.Log)
	l.watchFlows()
	l.handle(engine.Configure{Config: settings})
	if slices.Contains(apply, "peers") {
		l.takeAsked() // what was refused may be wanted now
	}
	detail := "nothing changed"
	if len(apply)+len(wait) > 0 {
		detail = strings.Join(append(apply, wait...), " ")
	}
	l.report.tell(slog.LevelInfo, ctl.Event{Time: l.now, Event: ctl.EventReloaded, Detail: detail})
	for _, name := range wait {
		l.log.Warn("a changed key waits for the next start", "key", name)
	}
	for _, w := range r.Warnings {
		l.log.Warn(w)
	}
	return r, nil
}

// changeSettings brings the kernel module up to what is other than in the configuration before. What operators changed since
// stays where the file did not change.
func (l *Loop) changeSettings(old *config.Config) error {
	same := *l.cfg
	same.TCPKick, same.GSO, same.GSODevices, same.MarkMask = old.TCPKick, old.GSO, old.GSODevices, old.MarkMask
	same.Hints.RTO = old.Hints.RTO
	if apply, _ := same.Difference(l.cfg); len(apply) > 0 {
		if err := l.setModule(); err != nil {
			return err
		}
	}
	if old.Heuristic == l.cfg.Heuristic {
		return nil
	}
	return l.setHeuristic()
}

func (l *Loop) setLevel(c config.Log) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err == nil {
		l.level.Set(level)
	}
}

// engineConfig is what the engine is to know of a configuration, and a warning where the kernel module has less room than it asks for,
// 0 for no known bound: a context that the kernel does not take protects nothing.
func engineConfig(c *config.Config, room int) (e engine.Config, warning string) {
	l := c.Limits
	if room > 0 && l.Contexts > room {
		warning = fmt.Sprintf("limits.contexts: the kernel module takes %d and not %d: write a greater number to %s, and reload", room, l.Contexts, RoomPath)
		l.Contexts = room
	}
	e = engine.Config{
		SendTimeout: c.SendTimeout, Teardown: orNever(c.Teardown), FailBack: c.FailBack, Multipath: c.MarkMask != 0,
		Limits: engine.Limits{
			Contexts: l.Contexts, Verifying: l.Verifying, Waiting: l.Waiting, R1Rate: l.R1Rate, VerifyRate: l.VerifyRate,
			RecoveryRate: l.RecoveryRate, ErrorRate: l.ErrorRate,
		},
	}
	for _, p := range c.Peers {
		policy := engine.Policy{
			Prefix: p.Prefix, Refuse: !p.Protect, NoTrigger: p.Trigger == config.TriggerNever, FailBack: p.FailBack,
		}
		if p.SendTimeout != nil {
			policy.SendTimeout = *p.SendTimeout
		}
		if p.Teardown != nil {
			policy.Teardown = orNever(*p.Teardown)
		}
		for _, o := range p.Preferences {
			policy.Locators = append(policy.Locators, engine.LocalPolicy{
				Prefix: o.Prefix, Priority: o.Priority, Weight: o.Weight, Cost: o.Cost,
			})
		}
		e.Policies = append(e.Policies, policy)
	}
	return e, warning
}

// never is a teardown time that no context reaches.
const never = 100 * 365 * 24 * time.Hour

func orNever(d time.Duration) time.Duration {
	if d == 0 {
		return never
	}
	return d
}
