// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shim6/internal/cga"
	engines "shim6/internal/cga/search"
)

type generateFlags struct {
	prefixes   []string
	sec        uint8
	key        string
	newKey     bool
	bits       int
	cert       string
	pdsIn      string
	hba        bool
	extend     bool
	modifier   string
	collisions uint8
	engine     string
	threads    int
	shard      string
	checkpoint string
	maxTime    time.Duration
	unassigned bool
	name, out  string
	bundle     string
}

const generateExample = `  cgatool generate --new-key --prefix 2001:db8:1:2::/64 --out /etc/shim6/keys
  cgatool generate --hba --sec 2 --prefix 2001:db8:1::/64 --prefix 2001:db8:2::/64
  cgatool generate --key site.pem --sec 2 --prefix 2001:db8:1:2::/64 \
    --checkpoint site.checkpoint --bundle site.tar`

func (t *tool) generateCommand() *cobra.Command {
	var o generateFlags
	c := &cobra.Command{
		Use:   "generate",
		Short: "search the parameters of addresses and write them to a file",
		Long: `generate searches the parameters of CGAs, or with --hba of a set of HBAs, writes
them to NAME.pds and prints one address for each prefix. All prefixes share the
key and the modifier.`,
		Example: generateExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("bits") && !o.newKey {
				return usagef("--bits needs --new-key")
			}
			if cmd.Flags().Changed("out") && o.bundle != "" {
				return usagef("give one of --out and --bundle")
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
	f.StringVar(&o.cert, "cert", "", "use the public key of the certificate or public key in this PEM `file`")
	f.StringVar(&o.pdsIn, "pds-in", "", "use public key, extensions and modifier of this parameter `file`")
	f.BoolVar(&o.hba, "hba", false, "make an HBA set of the prefixes; it needs no key")
	f.StringVar(&o.modifier, "modifier", "", "first modifier to try, 32 `hex` digits; random if not given")
	f.Uint8Var(&o.collisions, "collisions", 0, "collision count `n`, 0 to 2: how often an address was found in use")
	f.BoolVar(&o.extend, "search-extension", false, "search in an added extension: faster, larger parameters")
	f.IntVar(&o.threads, "threads", 0, "search with `n` processors, 0 for all")
	f.StringVar(&o.engine, "engine", "", "search with this `engine`: "+strings.Join(engines.Engines(), ", "))
	f.StringVar(&o.shard, "shard", "", "search part `i/n` of the whole, the first being 0/n")
	f.StringVar(&o.checkpoint, "checkpoint", "", "keep in this `file` how far the search came, and go on from there")
	f.DurationVar(&o.maxTime, "max-time", 0, "give up after this `time`, such as 90s or 12h")
	f.BoolVar(&o.unassigned, "allow-unassigned-sec", false, "take --sec 3 to 7, which have no meaning yet (RFC 4982)")
	f.StringVar(&o.name, "name", "shim6", "`name` of the files without their ending")
	f.StringVar(&o.out, "out", ".", "`directory` of the files")
	f.StringVar(&o.bundle, "bundle", "", "write key, parameters and addresses to this tar `file` instead")
	complete(c, "engine", engines.Engines())
	complete(c, "sec", []string{"0", "1", "2"})
	for _, name := range []string{"key", "cert"} {
		must(c.MarkFlagFilename(name, "pem", "crt"))
	}
	must(c.MarkFlagFilename("pds-in", "pds"))
	must(c.MarkFlagDirname("out"))
	return c
}

// search checks the flags and gives the search and the output they ask for.
func (o generateFlags) search() (*search, *output, error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	if o.sec > cga.MaxSec && !o.unassigned {
		_, err := newSearch(o.sec, nil, false)
		return nil, nil, withHint(err, "--allow-unassigned-sec takes it all the same; other hosts will refuse the address")
	}
	s, err := newSearch(o.sec, o.prefixes, o.unassigned)
	if err != nil {
		return nil, nil, err
	}
	s.keyFile, s.certFile, s.paramsFile = o.key, o.cert, o.pdsIn
	s.hba, s.extend = o.hba, o.extend
	s.collisions, s.options.Threads, s.options.Engine = o.collisions, o.threads, o.engine
	s.checkpoint, s.maxTime = o.checkpoint, o.maxTime
	if s.options.Shard, s.options.Shards, err = parseShard(o.shard); err != nil {
		return nil, nil, err
	}
	out := &output{params: filepath.Join(o.out, o.name+".pds")}
	if o.bundle != "" {
		out = &output{bundle: o.bundle, name: o.name}
	}
	if o.newKey {
		s.bits = o.bits
		if o.bundle == "" {
			out.key = filepath.Join(o.out, o.name+".pem")
		}
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

func (o generateFlags) check() error {
	const example = "for example: cgatool generate --new-key --prefix 2001:db8:1:2::/64"
	keys := 0
	for _, given := range []bool{o.key != "", o.newKey, o.cert != ""} {
		if given {
			keys++
		}
	}
	switch {
	case len(o.prefixes) == 0:
		return withHint(usagef("--prefix is missing"), example)
	case keys > 1 || o.newKey && o.pdsIn != "" || keys == 0 && o.pdsIn == "" && !o.hba:
		return withHint(usagef("give one of --key, --new-key, --cert and --pds-in, or --hba"), example)
	case o.collisions > cga.MaxCollisions:
		return usagef("--collisions is 0 to 2, not %d", o.collisions)
	case o.newKey && (o.bits < cga.MinKeyBits || o.bits > cga.MaxKeyBits):
		return usagef("--bits is %d to %d, not %d", cga.MinKeyBits, cga.MaxKeyBits, o.bits)
	case o.newKey && o.checkpoint != "":
		return withHint(usagef("--checkpoint needs a key that stays, not --new-key"), "make it first with cgatool keygen, then use --key")
	case o.newKey && o.shard != "":
		return withHint(usagef("--shard needs a key that all parts share, not --new-key"), "make it first with cgatool keygen, then use --key or --cert")
	case o.threads < 0:
		return usagef("--threads %d is negative", o.threads)
	case o.engine != "" && !slices.Contains(engines.Engines(), o.engine):
		return usagef("--engine %q is not one that this machine has: %s", o.engine, strings.Join(engines.Engines(), ", "))
	case o.maxTime < 0:
		return usagef("--max-time %v is negative", o.maxTime)
	case o.name == "" || strings.ContainsRune(o.name, '/') || o.name[0] == '.':
		return usagef("--name %q must be a file name that does not start with a dot", o.name)
	}
	return nil
}

// newSearch checks what every search needs.
func newSearch(sec uint8, prefixes []string, unassigned bool) (*search, error) {
	switch {
	case unassigned && sec > 7:
		return nil, usagef("sec %d does not fit into three bits", sec)
	case !unassigned && sec > cga.MaxSec:
		return nil, usagef("sec %d has no meaning yet (RFC 4982), use 0, 1 or 2", sec)
	}
	s := &search{options: cga.GenerateOptions{Sec: sec, UnassignedSec: unassigned}}
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

// parseShard reads "i/n".
func parseShard(text string) (i, n int, err error) {
	if text == "" {
		return 0, 0, nil
	}
	part, whole, ok := strings.Cut(text, "/")
	if ok {
		var e1, e2 error
		i, e1 = strconv.Atoi(part)
		n, e2 = strconv.Atoi(whole)
		ok = e1 == nil && e2 == nil && 0 <= i && i < n && n <= 1<<20
	}
	if !ok {
		return 0, 0, usagef("--shard %q is not i/n with i below n, such as 0/4", text)
	}
	return i, n, nil
}

// generate runs a search, writes its files and prints its addresses.
func (t *tool) generate(ctx context.Context, s *search, out *output) (err error) {
	lock, err := lockCheckpoint(s.checkpoint)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	// A search that goes on has looked before, and a file that appeared since is not overwritten.
	if !exists(s.checkpoint) {
		if err := out.check(); err != nil {
			return err
		}
	}
	key, err := s.takeKey()
	if err != nil {
		return err
	}
	line := newProgress(t.stderr, s.options.Sec)
	r, err := s.run(ctx, line)
	if err != nil {
		return err
	}
	if err := out.write(r, key, s.bits != 0); err != nil {
		return err
	}
	// Before the result is printed: it shall not be printed twice, and it is in the files.
	if err := r.checkpoint.remove(); err != nil {
		return err
	}
	return t.printResult(s, out, r)
}
