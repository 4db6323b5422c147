// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"shim6/daemon/ctl"
)

// errNoTerminal is what top ends with in a pipe.
var errNoTerminal = &ctl.Error{Message: "top needs a terminal", Hint: "for a pipe there are: shim6ctl monitor, and shim6ctl contexts --json"}

func (e *env) top() *cobra.Command {
	var every time.Duration
	c := &cobra.Command{
		Use: "top", Short: "watch the contexts in a live view, the busiest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 100*time.Millisecond {
				return fmt.Errorf("--interval is %v, at least 100ms", every)
			}
			return e.client(func(c *ctl.Client) error {
				out, ok := e.stdout.(*os.File)
				if !ok || !isatty.IsTerminal(out.Fd()) || !isatty.IsTerminal(os.Stdin.Fd()) {
					return errNoTerminal
				}
				if _, err := c.Status(cmd.Context()); err != nil {
					return err
				}
				return e.live(cmd.Context(), c, every, out)
			})
		},
	}
	c.Flags().DurationVar(&every, "interval", time.Second, "time between two looks")
	return c
}

func (e *env) live(ctx context.Context, c *ctl.Client, every time.Duration, out *os.File) error {
	look := func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		s, err := c.Status(ctx)
		if err != nil {
			return seen{err: err}
		}
		list, err := c.Contexts(ctx, ctl.Filter{})
		return seen{at: time.Now(), status: s, contexts: list, err: err}
	}
	v := &view{look: look, every: every, width: 80, height: 24}
	_, err := tea.NewProgram(v, tea.WithContext(ctx), tea.WithOutput(out), tea.WithAltScreen()).Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) {
		return nil // an interrupt is one way to end it
	}
	return errors.Join(err, v.err)
}

// seen is one look at the daemon.
type seen struct {
	at       time.Time
	status   ctl.Status
	contexts []ctl.Context
	err      error
}

// again asks for the next look.
type again struct{}

// A view is what is on the screen.
type view struct {
	look          func() tea.Msg
	every         time.Duration
	width, height int
	now, before   seen
	top           int // the first line that is shown
	err           error
}

func (v *view) Init() tea.Cmd { return v.look }

// Update takes in what happened.
func (v *view) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case seen:
		if msg.err != nil {
			v.err = msg.err
			return v, tea.Quit
		}
		v.before, v.now = v.now, msg
		return v, tea.Tick(v.every, func(time.Time) tea.Msg { return again{} })
	case again:
		return v, v.look
	case tea.WindowSizeMsg:
		v.width, v.height = msg.Width, msg.Height
	case tea.KeyMsg:
		switch msg.String() {
		case "q", "ctrl+c", "esc":
			return v, tea.Quit
		case "down", "j":
			v.top++
		case "up", "k":
			v.top--
		case "pgdown", " ":
			v.top += v.rows()
		case "pgup":
			v.top -= v.rows()
		}
		v.top = max(0, min(v.top, len(v.now.contexts)-v.rows()))
	}
	return v, nil
}

// rows is how many contexts fit the screen.
func (v *view) rows() int { return max(v.height-4, 1) }

// View draws the screen.
func (v *view) View() string {
	if v.now.at.IsZero() {
		return "asking shim6d ...\n"
	}
	s := v.now.status
	exploring := 0
	for _, c := range v.now.contexts {
		if c.State == "ESTABLISHED" && c.Reap != "Operational" {
			exploring++
		}
	}
	lines := []string{
		fmt.Sprintf("shim6d %s  %s  %d contexts, %d exploring, %d locators", s.Version, v.now.at.Local().Format("15:04:05"), s.Contexts, exploring, s.Locators),
		"",
		fmt.Sprintf("%-12s %-11s %-9s %6s %9s %9s  %s", "TAG", "REAP", "RTT", "LOSS", "OUT/s", "IN/s", "PEER"),
	}
	busy := v.busiest()
	for _, r := range busy[min(v.top, len(busy)):min(v.top+v.rows(), len(busy))] {
		lines = append(lines, r.line)
	}
	for i, l := range lines {
		if r := []rune(printable(l)); len(r) > v.width {
			lines[i] = string(r[:v.width])
		}
	}
	return strings.Join(lines, "\n") + "\n" + "q quits"
}

type busyRow struct {
	rate uint64
	line string
}

// busiest lists the contexts, those with the most octets a second first.
func (v *view) busiest() []busyRow {
	old := make(map[string]*ctl.KernelContext)
	for _, c := range v.before.contexts {
		old[c.Tag] = c.Kernel
	}
	seconds := v.now.at.Sub(v.before.at).Seconds()
	var rows []busyRow
	for _, c := range v.now.contexts {
		var out, in uint64
		if was := old[c.Tag]; was != nil && c.Kernel != nil && c.Tag != "" && !v.before.at.IsZero() && seconds > 0 {
			out, in = perSecond(was.TxBytes, c.Kernel.TxBytes, seconds), perSecond(was.RxBytes, c.Kernel.RxBytes, seconds)
		}
		state := c.Reap
		if c.State != "ESTABLISHED" {
			state = c.State
		}
		time, loss := "-", "-"
		for _, p := range c.Paths {
			if !p.Current {
				continue
			}
			if p.RTTMS > 0 {
				time = rtt(p.RTTMS)
			}
			if l, ok := p.Loss(); ok {
				loss = fmt.Sprintf("%.0f%%", 100*l)
			}
		}
		rows = append(rows, busyRow{out + in, fmt.Sprintf("%-12s %-11s %-9s %6s %9s %9s  %s", cmp.Or(c.Tag, "-"), state, time, loss, octets(out), octets(in), c.ULIDPeer)})
	}
	slices.SortStableFunc(rows, func(a, b busyRow) int { return cmp.Compare(b.rate, a.rate) })
	return rows
}

func perSecond(before, now uint64, seconds float64) uint64 {
	if now < before {
		return 0 // the context is another one
	}
	return uint64(float64(now-before) / seconds)
}

// octets prints a number of octets with few digits.
func octets(n uint64) string {
	units := []string{"", "k", "M", "G", "T"}
	f, i := float64(n), 0
	for ; f >= 1000 && i < len(units)-1; i++ {
		f /= 1000
	}
	if i == 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%.1f%s", f, units[i])
}
