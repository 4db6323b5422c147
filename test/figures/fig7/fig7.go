// SPDX-License-Identifier: MIT

// Package fig7 measures how long two hosts take to establish a context.
package fig7

import (
	"bufio"
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gonum.org/v1/plot"

	"shim6/internal/cga"
	"shim6/test/figures/draw"
	"shim6/test/figures/figure"
	"shim6/test/figures/guest"
	"shim6/test/figures/sample"
	"shim6/test/lab/report"
)

// Figure is the paper's Figure 7.
var Figure = figure.Figure{
	Name:  "fig7",
	Title: "Time to establish a context",
	Setup: "A Pentium 4 of 2.6 GHz established contexts with a Pentium III of 600 MHz over Ethernet of 100 Mb/s: from the sending of I1 until the R2 had " +
		"come; medians of 20, with 2, 5 and 10 addresses announced; without security, with HBA, with HBA that is CGA-compatible (1024 bits), and with " +
		"CGA and RSA keys of several lengths. Two signatures and two verifications are in it.",
	Claim: "HBA costs nearly nothing over no security, compatible HBA slightly more; with CGA the key's length decides; the number of " +
		"addresses does not matter.",
	Run: run,
}

const (
	kernel = "6.12"
	mbit   = 100
	// hbaLimit is what HBA may take of the time without verification.
	hbaLimit = 1.2
	// spreadLimit is how much the numbers of addresses may differ.
	spreadLimit = 0.25
	shortKey    = 1024
)

var (
	keys      = []int{1024, 2048, 3072, 4096}
	addresses = []int{2, 5, 10}
)

// A method is a way to prove locators.
type method struct {
	name string
	bits int  // of the key
	set  bool // HBA set
	key  bool // with a real key
	// trust has the peer's locators not verified. The messages are those of HBA.
	trust bool
}

func methods() []method {
	list := []method{
		{name: "none", bits: shortKey, set: true, trust: true}, {name: "HBA", bits: shortKey, set: true},
		{name: "HBA-compatible", bits: shortKey, set: true, key: true},
	}
	for _, bits := range keys {
		list = append(list, method{name: fmt.Sprintf("CGA %d", bits), bits: bits, key: true})
	}
	return list
}

// signs tells whether the method needs signatures.
func (m method) signs() bool { return m.key && !m.set }

// A row is the negotiations of one kind.
type row struct {
	method    method
	addresses int
	cached    bool
	ms        []float64
	refused   string // why there are none
}

func run(e *figure.Env, r *figure.Result) error {
	var rows []*row
	for _, m := range methods() {
		for _, n := range addresses {
			rows = append(rows, &row{method: m, addresses: n, cached: true})
			if m.signs() {
				rows = append(rows, &row{method: m, addresses: n})
			}
		}
	}
	files, plan, err := prepare(e, rows)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	if files[report.PlanName], err = write(e, report.PlanName, raw); err != nil {
		return err
	}
	files["bin/negotiators"] = filepath.Join(e.Build, "bin", "negotiators")
	dir, err := guest.Run{
		Case: "negotiations", Kernel: kernel, Name: "linux-" + kernel, Params: map[string]string{"mbit": strconv.Itoa(mbit)}, Files: files,
	}.Do(e, r)
	if err != nil {
		return err
	}
	for i, x := range rows {
		if x.ms, x.refused, err = read(filepath.Join(dir, plan[i].Name+".csv"), plan[i].Runs); err != nil {
			return err
		}
	}
	judge(r, rows)
	notes(r, rows)
	if err := save(e, rows); err != nil {
		return err
	}
	return plots(e, rows)
}

// A host is what the program in the guest reads.
type host struct {
	Locators []locator
	Trust    bool
	Late     bool
}

type locator struct {
	Addr netip.Addr
	PDS  []byte
	Key  bool
}

// prepare makes keys and addresses. Both hosts have keys of the same length; one key serves both, which no time depends on.
func prepare(e *figure.Env, rows []*row) (files map[string]string, plan []report.Negotiation, err error) {
	files = make(map[string]string)
	private := make(map[int]*rsa.PrivateKey)
	for _, bits := range keys {
		if private[bits], err = cga.NewKey(bits); err != nil {
			return nil, nil, err
		}
		name := fmt.Sprintf("key-%d", bits)
		files[name] = e.Path(name)
		if err := cga.WriteKey(files[name], private[bits]); err != nil {
			return nil, nil, err
		}
	}
	for i, x := range rows {
		// No spaces: the names are those of files and arguments.
		n := report.Negotiation{Name: fmt.Sprintf("n%02d", i), Key: fmt.Sprintf("key-%d", x.method.bits), Runs: figure.Pick(e, 7, 20)}
		for k, side := range []string{"a", "b"} {
			h, err := makeHost(e.Context, x, private[x.method.bits], byte(k))
			if err != nil {
				return nil, nil, err
			}
			raw, err := json.Marshal(h)
			if err != nil {
				return nil, nil, err
			}
			name := n.Name + "-" + side
			if files[name], err = write(e, name, raw); err != nil {
				return nil, nil, err
			}
			if k == 0 {
				n.A = h.Locators[0].Addr
			} else {
				n.B = h.Locators[0].Addr
			}
		}
		plan = append(plan, n)
	}
	return files, plan, nil
}

func write(e *figure.Env, name string, raw []byte) (string, error) {
	path := e.Path(name)
	return path, os.WriteFile(path, raw, 0o600)
}

func makeHost(ctx context.Context, x *row, key *rsa.PrivateKey, side byte) (*host, error) {
	spki, err := cga.MarshalPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	var prefixes [][8]byte
	for i := range x.addresses {
		prefixes = append(prefixes, [8]byte{0x20, 0x01, 0x0d, 0xb8, 0xa0 + side, byte(i)})
	}
	o := cga.GenerateOptions{PublicKey: spki, Prefix: prefixes[0], Sec: 1}
	if x.method.set {
		o.Set = prefixes
		if !x.method.key {
			o.PublicKey, o.Nonce, o.Field = cga.NewNonce(), true, cga.FieldNonce
		}
	}
	p, err := cga.Generate(ctx, o)
	if err != nil {
		return nil, err
	}
	h := &host{Trust: x.method.trust, Late: !x.cached}
	for _, prefix := range prefixes {
		q := *p
		q.Prefix = prefix
		a, err := q.Address(1)
		if err != nil {
			return nil, err
		}
		h.Locators = append(h.Locators, locator{Addr: a, PDS: q.Marshal(), Key: x.method.signs()})
	}
	return h, nil
}

// read reads lines of nanoseconds, or one that tells why there are none.
func read(path string, runs int) (ms []float64, refused string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		if why, ok := strings.CutPrefix(in.Text(), "refused: "); ok && len(ms) == 0 {
			return nil, why, nil
		}
		ns, err := strconv.ParseInt(in.Text(), 10, 64)
		if err != nil {
			return nil, "", fmt.Errorf("%s: line %d: %w", path, len(ms)+1, err)
		}
		ms = append(ms, float64(ns)/1e6)
	}
	if in.Err() == nil && len(ms) != runs {
		return nil, "", fmt.Errorf("%s has %d negotiations, want %d", path, len(ms), runs)
	}
	return ms, "", in.Err()
}

func find(rows []*row, name string, addresses int, cached bool) *row {
	for _, r := range rows {
		if r.method.name == name && r.addresses == addresses && r.cached == cached {
			return r
		}
	}
	return nil
}

func judge(r *figure.Result, rows []*row) {
	median := func(name string, n int, cached bool) float64 { return sample.Median(find(rows, name, n, cached).ms) }
	worst := 0.0
	for _, n := range addresses {
		worst = max(worst, median("HBA", n, true)/median("none", n, true))
	}
	r.Gate("HBA", "HBA costs nearly nothing over no security.", worst <= hbaLimit, "at most %.3f of the time in which nothing is verified, allowed is %g",
		worst, hbaLimit)
	for _, cached := range []bool{true, false} {
		name := map[bool]string{true: "signatures made ahead", false: "signatures made when needed"}[cached]
		for _, n := range addresses {
			rising, list, before, possible := true, "", 0.0, 0
			for _, bits := range keys {
				x := find(rows, fmt.Sprintf("CGA %d", bits), n, cached)
				if x.refused != "" {
					list += fmt.Sprintf(" %d is refused", bits)
					continue
				}
				m := sample.Median(x.ms)
				list += fmt.Sprintf(" %d→%.2f", bits, m)
				rising = rising && m > before
				before = m
				possible++
			}
			r.Gate(fmt.Sprintf("RSA length, %d addresses, %s", n, name), "The time rises with the length of the key.", rising && possible > 2,
				"bits→ms:%s", list)
		}
	}
	spread, at := 0.0, ""
	for _, x := range rows {
		most := find(rows, x.method.name, addresses[len(addresses)-1], x.cached)
		if x.addresses != addresses[0] || !x.method.key || x.refused != "" || most.refused != "" {
			continue
		}
		if s := sample.Median(most.ms)/sample.Median(x.ms) - 1; s > spread {
			spread, at = s, x.method.name
		}
	}
	r.Gate("number of addresses", "The number of addresses does not matter.", spread <= spreadLimit,
		"%d addresses take up to %.1f%% more than %d (%s); allowed are %.0f%%", addresses[len(addresses)-1], 100*spread, addresses[0], at, 100*spreadLimit)
}

func notes(r *figure.Result, rows []*row) {
	refused := make(map[string]string)
	for _, x := range rows {
		if x.refused != "" {
			refused[x.method.name] += fmt.Sprintf(" %d", x.addresses)
			if strings.Count(refused[x.method.name], " ") == 1 {
				r.Differ("%s is refused: %s. RFC 5533 (section 5.1) bounds a packet with a message by 1280 octets, of which IPv6 takes 40. Parameters with a "+
					"key of 4096 bits take 584 and a signature 520, and of the other 136 the engine keeps what the header, a peer's validator and the "+
					"options of a repeated negotiation can take. Longer keys would need an Update Request of their own for the list.", x.method.name, x.refused)
			}
		}
	}
	r.Note("Signatures made when they are needed are what the original did without its cache; made ahead is what the daemon does.")
	r.Differ("The clock is that of a guest, a nanosecond for each instruction: a processor with the instructions of today, those for SHA among them, that " +
		"runs 1000 million of any kind a second, as many as the paper's slower host. It does not depend on the load of this machine.")
	r.Differ("Both hosts run shim6d's engine, raw socket, verification and requests to the kernel module in one loop of the harness over a link of %d Mb/s, "+
		"because what is to be compared, such as no verification, is nothing that the daemon can be asked for. The daemon's own loop is in Figure 10.", mbit)
	r.Differ("Nothing but 100 Mb/s and two kernels is between the hosts, and a negotiation takes half a millisecond where the paper's took many: what eight " +
		"more addresses add can be seen, and most of it is the longer messages, which cost those who verify nothing as much.")
	r.Differ("\"None\" sends the messages of HBA and verifies nothing; it exists in the harness alone.")
}

func save(e *figure.Env, rows []*row) error {
	var lines [][]string
	for _, r := range rows {
		for i, ms := range r.ms {
			lines = append(lines, []string{
				r.method.name, strconv.Itoa(r.addresses), strconv.FormatBool(r.cached), strconv.Itoa(i), strconv.FormatFloat(ms, 'f', 6, 64),
			})
		}
	}
	return e.SaveCSV([]string{"method", "addresses", "signed_ahead", "run", "ms"}, lines)
}

func plots(e *figure.Env, rows []*row) error {
	one := func(title string, cached bool, top float64) (*plot.Plot, error) {
		p := draw.New(title, "", "milliseconds (of 1,000,000 instructions)")
		draw.LogY(p)
		p.Y.Min, p.Y.Max = 0.1, top
		var names []string
		for _, m := range methods() {
			name := m.name
			if find(rows, m.name, addresses[0], true).refused != "" {
				name += "\n(refused)"
			}
			names = append(names, name)
		}
		var series []draw.Series
		for k, n := range addresses {
			s := draw.Series{Name: fmt.Sprintf("%d addresses", n), Style: []int{0, 5, 2}[k]}
			for _, m := range methods() {
				x := find(rows, m.name, n, cached || !m.signs())
				if x.refused != "" {
					s.Y, s.Low, s.High = append(s.Y, math.NaN()), append(s.Low, 0), append(s.High, 0)
					continue
				}
				s.Y = append(s.Y, sample.Median(x.ms))
				s.Low, s.High = append(s.Low, sample.Quantile(x.ms, 0.05)), append(s.High, sample.Quantile(x.ms, 0.95))
			}
			series = append(series, s)
		}
		p.Legend.Left = true
		return p, draw.Bars(p, names, series)
	}
	top := 0.0
	for _, x := range rows {
		if x.refused == "" {
			top = max(top, sample.Quantile(x.ms, 1))
		}
	}
	late, err := one("signatures made when needed: median, 5th and 95th percentile", false, top*5)
	if err != nil {
		return err
	}
	ahead, err := one("signatures made ahead: median, 5th and 95th percentile", true, top*5)
	if err != nil {
		return err
	}
	return draw.Save(e.Path(e.Name), 18, 18, []*plot.Plot{late}, []*plot.Plot{ahead})
}
