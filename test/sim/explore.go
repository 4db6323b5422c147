// SPDX-License-Identifier: MIT

package sim

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// An explorer writes a random script: hosts that talk, and everything that can happen to them and to what is between.
type explorer struct {
	rng   *rand.Rand
	hosts []string
	addrs map[string][]string
	flows map[string]bool // that were ever started
	out   strings.Builder
}

// Random gives the script of a seed. It ends with all well again, and asks whether all hosts found that out.
func Random(seed uint64) string {
	x := &explorer{rng: rand.New(rand.NewPCG(seed, 1)), addrs: map[string][]string{}, flows: map[string]bool{}}
	x.line("seed %d", seed)
	x.begin()
	for range 5 + x.rng.IntN(25) {
		x.step()
		x.line("quiet %v", x.pause())
	}
	x.end()
	return x.out.String()
}

// Try runs the script of a seed, and gives it with what is wrong.
func Try(seed uint64) (script string, err error) {
	script = Random(seed)
	return script, Check(script)
}

// Check runs a script as Try does: with modelled signatures, without a trace.
func Check(script string) error {
	_, err := check(script, true)
	return err
}

// Replay runs a script as Try does, and gives a trace of all of it.
func Replay(script string) (trace string, err error) {
	return check(strings.ReplaceAll(script, "quiet ", "run "), false)
}

func check(script string, silent bool) (out string, err error) {
	w := NewWorld(0)
	w.silent, w.cheap = silent, true
	defer func() {
		if p := recover(); p != nil {
			out, err = w.Trace(), fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return run(script, w)
}

// ending is where a random script begins to make all well.
const ending = "\nmend\n"

// Shrink leaves out of a script what it fails without, but for its ending.
func Shrink(script string) string {
	begin, end, _ := strings.Cut(script, ending)
	lines := strings.SplitAfter(begin, "\n")
	whole := func(lines []string) string { return strings.Join(lines, "") + ending + end }
	fails := func(lines []string) bool {
		err := Check(whole(lines))
		return err != nil && !errors.Is(err, errScript)
	}
	for size := len(lines) / 2; size > 0; {
		shorter := false
		for i := len(lines) - size; i >= 0; i -= size {
			if rest := slices.Delete(slices.Clone(lines), i, i+size); fails(rest) {
				lines, shorter = rest, true
			}
		}
		if !shorter || size > 1 {
			size /= 2
		}
	}
	return whole(lines)
}

func (x *explorer) line(format string, args ...any) { fmt.Fprintf(&x.out, format+"\n", args...) }

// pause is short more often than long.
func (x *explorer) pause() time.Duration {
	most := []int{30, 300, 3000, 20000}[x.rng.IntN(4)]
	return time.Duration(1+x.rng.IntN(most)) * time.Millisecond
}

func (x *explorer) chance(percent int) bool { return x.rng.IntN(100) < percent }

func pick[T any](x *explorer, list []T) T { return list[x.rng.IntN(len(list))] }

func (x *explorer) begin() {
	x.line("timeout %v", pick(x, []time.Duration{time.Second, 3 * time.Second, 3 * time.Second, 15 * time.Second}))
	x.line("delay %v", pick(x, []time.Duration{time.Millisecond, 10 * time.Millisecond, 80 * time.Millisecond}))
	if x.chance(15) {
		x.line("teardown 20s")
	}
	if x.chance(30) {
		x.line("failback %v", pick(x, []time.Duration{time.Second, 5 * time.Second, time.Minute}))
	}
	if x.chance(5) {
		x.line("multipath")
	}
	if x.chance(15) {
		x.line("contexts %d", 1+x.rng.IntN(3))
	}
	if x.chance(20) {
		x.line("crypto %v", pick(x, []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second}))
	}
	x.hosts = []string{"a", "b", "c"}[:2+x.rng.IntN(5)/4]
	for i, h := range x.hosts {
		kind := pick(x, []string{HBA, HBA, Mixed, CGA, Plain})
		if i == 2 && x.chance(20) {
			kind = Foreign
		}
		for i := range 1 + x.rng.IntN(4) {
			x.addrs[h] = append(x.addrs[h], fmt.Sprintf("%s%d", h, i+1))
		}
		x.line("host %s %s %s", h, kind, strings.Join(x.addrs[h], " "))
	}
	for _, h := range x.hosts {
		if n := len(x.addrs[h]); n > 1 && x.chance(40) {
			x.line("move %s %s", h, strings.Join(x.addrs[h][:1+x.rng.IntN(n-1)], " "))
		}
	}
	if x.chance(40) {
		x.line("jitter 30ms")
	}
	if x.chance(40) {
		x.line("loss %d", 1+x.rng.IntN(30))
	}
	if x.chance(30) {
		x.line("duplicate %d", 1+x.rng.IntN(30))
	}
	if x.chance(15) {
		x.line("corrupt %d", 1+x.rng.IntN(20))
	}
	x.trigger()
	x.line("quiet %v", x.pause())
	x.flow()
	x.flow()
}

// two picks two hosts.
func (x *explorer) two() (from, to string) {
	i := x.rng.IntN(len(x.hosts))
	j := (i + 1 + x.rng.IntN(len(x.hosts)-1)) % len(x.hosts)
	return x.hosts[i], x.hosts[j]
}

// ulids picks two hosts that talk; seldom other addresses of theirs than the first are the ULIDs.
func (x *explorer) ulids() (from, to string) {
	if x.chance(15) {
		return x.ends()
	}
	return x.two()
}

func (x *explorer) trigger() {
	from, to := x.ulids()
	x.line("trigger %s %s", from, to)
	if x.chance(20) {
		x.line("trigger %s %s", to, from)
	}
}

func (x *explorer) flow() {
	from, to := x.ulids()
	x.flows[from+" "+to] = true
	x.line("flow %s %s %v", from, to, pick(x, []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second}))
}

// ends picks an address of each of two hosts.
func (x *explorer) ends() (string, string) {
	from, to := x.two()
	return pick(x, x.addrs[from]), pick(x, x.addrs[to])
}

func (x *explorer) step() {
	h := pick(x, x.hosts)
	y, z := x.ends()
	switch x.rng.IntN(41) {
	case 0, 1:
		x.line("cut %s %s", y, z)
	case 2, 3:
		x.line("cut %s>%s", y, z)
	case 4, 5:
		x.line("heal %s %s", y, z)
	case 6:
		for range 2 + x.rng.IntN(4) { // a path that flaps
			x.line("cut %s %s", y, z)
			x.line("quiet %v", x.pause()/8)
			x.line("heal %s %s", y, z)
			x.line("quiet %v", x.pause()/8)
		}
	case 7:
		x.line("down %s", y)
	case 8:
		x.line("up %s", y)
	case 9, 10, 11:
		x.move(h)
	case 12:
		x.line("prefer %s %s", y, pick(x, []string{"", "broken", "broken", "transient", "priority=3", "priority=1 weight=9"}))
	case 13:
		x.line("%s %d", pick(x, []string{"loss", "loss", "corrupt"}), pick(x, []int{0, 0, 5, 20, 50}))
	case 14:
		x.line("jitter %v", pick(x, []time.Duration{0, 0, 5 * time.Millisecond, 100 * time.Millisecond}))
	case 15:
		x.trigger()
	case 16:
		x.flow()
	case 17:
		from, to := x.ulids()
		x.line("stop %s %s", from, to)
	case 39, 40:
		from, to := x.ulids()
		x.line("%s %s %s", pick(x, []string{"open", "open", "close"}), from, to)
	case 18:
		x.line("%s %s", pick(x, []string{"probe", "probe", "forget"}), h)
	case 19, 20:
		x.line("kill %s", h)
		if x.chance(20) {
			x.line("wipe %s", h)
		}
		if x.chance(20) {
			x.line("clock %s -%v", h, x.pause()*1000)
		}
		x.restart(h)
	case 21:
		x.line("reboot %s", h)
		x.restart(h)
	case 22:
		x.line("start %s", h)
	case 23:
		x.line("clock %s %v", h, x.pause()*10)
	case 24:
		x.line("timeout %s %v", h, pick(x, []time.Duration{time.Second, 3 * time.Second, 15 * time.Second, 20 * time.Second}))
	case 25, 26:
		x.line("flush %s", h)
	case 27:
		x.line("suspend %s %v", h, x.pause())
	case 30:
		x.line("reboot %s", h)
		x.line("start %s again", h)
		from, to := x.ends()
		x.line("trigger %s %s", from, to)
	case 31:
		x.line("key %s %s", h, pick(x, []string{"gone", "gone", "back"}))
	case 38:
		x.line("switch %s>%s", y, z)
	case 32, 33:
		x.line("hint %s>%s", y, pick(x, []string{"", z}))
	case 34: // a path that may not work, or may
		x.line("cut %s %s", y, z)
		for range 1 + x.rng.IntN(6) {
			x.line("hint %s>%s", y, z)
			x.line("quiet %v", x.pause())
		}
		x.line("heal %s %s", y, z)
	case 35, 36:
		x.line("fork %s>%s", y, z)
	case 37: // an address that is gone, and that its ULP may use for some time
		x.line("down %s", y)
		x.line("ends %s %v", y, x.pause())
	case 28, 29:
		x.line("refuse %s", pick(x, []string{y + " " + z, y + ">" + z}))
	}
}

// restart starts a daemon again, mostly. That it throws the same dice again makes tags that were in use before mean others now.
func (x *explorer) restart(h string) {
	if x.chance(70) {
		x.line("quiet %v", x.pause()/4)
		x.line("start %s%s", h, pick(x, []string{"", "", "", " again"}))
	}
}

// move renumbers a host: any of its addresses, but always one.
func (x *explorer) move(h string) {
	var to []string
	for _, a := range x.addrs[h] {
		if x.chance(50) {
			to = append(to, a)
		}
	}
	if len(to) == 0 {
		to = append(to, pick(x, x.addrs[h]))
	}
	x.line("move %s %s", h, strings.Join(to, " "))
}

// end makes all well, and gives everybody the time to notice. A host that forgot and was forgotten has to be asked again.
func (x *explorer) end() {
	x.line("mend")
	for _, h := range x.hosts {
		x.line("key %s back", h)
	}
	x.line("quiet 10s") // for signatures that fail still
	for _, h := range x.hosts {
		x.line("start %s", h)
		x.line("move %s %s", h, strings.Join(x.addrs[h], " "))
		for _, a := range x.addrs[h] {
			x.line("prefer %s", a)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(x.flows)) {
		x.line("flow %s 2s", f) // as many packets as are needed, since these take the time of a run
	}
	x.line("quiet 5m")
	for i, h := range x.hosts {
		for _, to := range x.hosts[i+1:] {
			x.line("trigger %s %s", h, to)
			x.line("flow %s %s 1s", h, to)
			x.line("flow %s %s 1s", to, h)
		}
	}
	for _, h := range x.hosts {
		x.line("probe %s", h) // a tag that is out of date shows
	}
	x.line("quiet 90s")
	x.line("settled")
}
