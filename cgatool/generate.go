// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shim6/internal/cga"
)

type generateFlags struct {
	prefixes   []string
	sec        uint8
	key        string
	newKey     bool
	bits       int
	params     string
	modifier   string
	collisions uint8
	threads    int
	name, out  string
}

func (t *tool) generateCommand() *cobra.Command {
	var o generateFlags
	c := &cobra.Command{
		Use:   "generate",
		Short: "search the parameters of an address and write them to a file",
		Long: `generate searches the parameters of a CGA, writes them to NAME.pds and prints one
address for each prefix. All prefixes share the key and the modifier.`,
		Example: `  cgatool generate --new-key --prefix 2001:db8:1:2::/64 --out /etc/shim6/keys
  cgatool generate --key site.pem --sec 2 --name site --prefix 2001:db8:1:2::/64`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("bits") && !o.newKey {
				return usagef("--bits needs --new-key")
			}
			s, out, err := o.search()
			if err != nil {
				return err
			}
			t.started = true
			return t.generate(cmd.Context(), s, out)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringArrayVar(&o.prefixes, "prefix", nil, "subnet `prefix` of 64 bits; may be given again for more addresses")
	f.Uint8Var(&o.sec, "sec", 1, "security parameter `n`, 0 to 2; each step costs 65536 times more")
	f.StringVar(&o.key, "key", "", "use the private key in this PEM `file`")
	f.BoolVar(&o.newKey, "new-key", false, "make a key and write it to NAME.pem")
	f.IntVar(&o.bits, "bits", 2048, "size of the new RSA key in `bits`, 1024 to 8192")
	f.StringVar(&o.params, "params", "", "use public key, extensions and modifier of this `file`")
	f.StringVar(&o.modifier, "modifier", "", "first modifier to try, 32 `hex` digits; random if not given")
	f.Uint8Var(&o.collisions, "collisions", 0, "collision count `n`, 0 to 2: how often the address was found in use")
	f.IntVar(&o.threads, "threads", 0, "search with `n` processors, 0 for all")
	f.StringVar(&o.name, "name", "shim6", "`name` of the files without their ending")
	f.StringVar(&o.out, "out", ".", "`directory` of the files")
	return c
}

// search checks the flags and gives the search and the output they ask for.
func (o generateFlags) search() (*search, *output, error) {
	const example = "for example: cgatool generate --new-key --prefix 2001:db8:1:2::/64"
	sources := 0
	for _, given := range []bool{o.key != "", o.newKey, o.params != ""} {
		if given {
			sources++
		}
	}
	switch {
	case len(o.prefixes) == 0:
		return nil, nil, withHint(usagef("--prefix is missing"), example)
	case sources != 1:
		return nil, nil, withHint(usagef("give one of --key, --new-key and --params"), example)
	case o.collisions > cga.MaxCollisions:
		return nil, nil, usagef("--collisions is 0 to 2, not %d", o.collisions)
	case o.newKey && (o.bits < cga.MinKeyBits || o.bits > cga.MaxKeyBits):
		return nil, nil, usagef("--bits is %d to %d, not %d", cga.MinKeyBits, cga.MaxKeyBits, o.bits)
	case o.threads < 0:
		return nil, nil, usagef("--threads %d is negative", o.threads)
	case o.name == "" || strings.ContainsRune(o.name, '/') || o.name[0] == '.':
		return nil, nil, usagef("--name %q must be a file name that does not start with a dot", o.name)
	}
	s, err := newSearch(o.sec, o.prefixes)
	if err != nil {
		return nil, nil, err
	}
	s.keyFile, s.paramsFile = o.key, o.params
	s.collisions, s.options.Threads = o.collisions, o.threads
	out := &output{params: filepath.Join(o.out, o.name+".pds")}
	if o.newKey {
		s.bits, out.key = o.bits, filepath.Join(o.out, o.name+".pem")
	}
	if o.modifier != "" {
		b, err := hex.DecodeString(o.modifier)
		if err != nil || len(b) != 16 {
			return nil, nil, usagef("--modifier %q is not 32 hex digits", o.modifier)
		}
		s.start = (*[16]byte)(b)
	}
	return s, out, nil
}

// newSearch checks what every search needs.
func newSearch(sec uint8, prefixes []string) (*search, error) {
	if sec > cga.MaxSec {
		return nil, usagef("sec %d has no meaning yet (RFC 4982), use 0, 1 or 2", sec)
	}
	s := &search{options: cga.GenerateOptions{Sec: sec}}
	for _, text := range prefixes {
		p, err := parsePrefix(text)
		if err != nil {
			return nil, err
		}
		if slices.Contains(s.prefixes, p) {
			return nil, usagef("prefix %s is given twice", text)
		}
		s.prefixes = append(s.prefixes, p)
	}
	return s, nil
}

// A generated is the JSON result of generate.
type generated struct {
	Addresses      []netip.Addr `json:"addresses"`
	Sec            uint8        `json:"sec"`
	Modifier       string       `json:"modifier"`
	CollisionCount uint8        `json:"collision_count"`
	Trials         uint64       `json:"trials"`
	Params         string       `json:"params,omitempty"`
	Key            string       `json:"key,omitempty"`
}

// generate runs a search, writes its files and prints its addresses.
func (t *tool) generate(ctx context.Context, s *search, out *output) error {
	if err := out.check(); err != nil {
		return err
	}
	newKey, err := s.takeKey()
	if err != nil {
		return err
	}
	p, addresses, trials, err := s.run(ctx, newProgress(t.stderr, s.options.Sec))
	if err != nil {
		return err
	}
	if err := out.write(p, newKey); err != nil {
		return err
	}
	if t.json {
		g := generated{
			Addresses: addresses, Sec: s.options.Sec, Modifier: hex.EncodeToString(p.Modifier[:]),
			CollisionCount: p.CollisionCount, Trials: trials, Params: out.params, Key: s.keyFile,
		}
		if newKey != nil {
			g.Key = out.key
		}
		return t.printJSON(g)
	}
	for _, path := range []string{out.key, out.params} {
		if path != "" {
			fmt.Fprintf(t.stderr, "cgatool: wrote %s\n", path)
		}
	}
	for _, a := range addresses {
		if _, err := fmt.Fprintln(t.stdout, a); err != nil {
			return err
		}
	}
	return nil
}
