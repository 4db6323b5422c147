// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// An explorer writes a random script: hosts that talk, and everything that can happen to them and to what is between.
type explorer struct {
	rng   *rand.Rand
	hosts []string
	addrs map[string][]string
	down  map[string]bool // hosts without a daemon
	out   strings.Builder
}

// Random gives the script of a seed. It ends with all well again, and asks whether all hosts found that out.
func Random(seed uint64) string {
	x := &explorer{rng: rand.New(rand.NewPCG(seed, 1)), addrs: map[string][]string{}, down: map[string]bool{}}
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
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	_, err = run(script, true)
	return script, err
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
	x.hosts = []string{"a", "b", "c"}[:2+x.rng.IntN(5)/4]
	for _, h := range x.hosts {
		kind := pick(x, []string{HBA, HBA, CGA, Plain})
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

func (x *explorer) trigger() {
	from, to := x.two()
	x.line("trigger %s %s", from, to)
	if x.chance(20) {
		x.line("trigger %s %s", to, from)
	}
}

func (x *explorer) flow() {
	from, to := x.two()
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
	switch x.rng.IntN(25) {
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
		x.line("loss %d", pick(x, []int{0, 0, 5, 20, 50}))
	case 14:
		x.line("jitter %v", pick(x, []time.Duration{0, 0, 5 * time.Millisecond, 100 * time.Millisecond}))
	case 15:
		x.trigger()
	case 16:
		x.flow()
	case 17:
		from, to := x.two()
		x.line("stop %s %s", from, to)
	case 18:
		x.line("%s %s", pick(x, []string{"probe", "probe", "forget"}), h)
	case 19, 20:
		x.line("kill %s", h)
		if x.chance(70) {
			x.line("quiet %v", x.pause()/4)
			x.line("start %s", h)
		}
	case 21:
		x.line("reboot %s", h)
		if x.chance(70) {
			x.line("quiet %v", x.pause()/4)
			x.line("start %s", h)
		}
	case 22:
		x.line("start %s", h)
	case 23:
		x.line("clock %s %v", h, x.pause()*10)
	case 24:
		x.line("timeout %s %v", h, pick(x, []time.Duration{time.Second, 3 * time.Second, 15 * time.Second, 20 * time.Second}))
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
		x.line("start %s", h)
		x.line("move %s %s", h, strings.Join(x.addrs[h], " "))
		for _, a := range x.addrs[h] {
			x.line("prefer %s", a)
		}
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
