// SPDX-License-Identifier: MIT

package identity

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"shim6/internal/cga"
)

// ErrLinShim6 is wrapped by every error about what a params.conf of LinShim6 says.
var ErrLinShim6 = errors.New("params.conf")

const (
	linShim6Max  = 1 << 20
	linShim6List = 256
)

// A linShim6Block is a block "named NAME" or "address ADDRESS".
type linShim6Block struct {
	kind, name       string
	params, key, use string
}

// An OldParams is what one block of params.conf became.
type OldParams struct {
	*Imported
	Kind string // named or address
	Of   string // the interface, "default" or the address that the block is for
	Key  string // name of the key; empty for an HBA set without one
}

// ImportLinShim6 puts the keys and parameters that a params.conf of LinShim6 names into a directory, under the names of
// their blocks. Existing files are not changed; equal ones are no error.
func ImportLinShim6(dir string, r io.Reader) ([]OldParams, error) {
	blocks, err := parseLinShim6(r)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	var all []OldParams
	for _, b := range blocks {
		p, err := b.load(dir, all)
		if err != nil {
			return all, fmt.Errorf("%s %s: %w", b.kind, b.name, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// load imports the files of a block. A key that an earlier block brought keeps the name that it had there.
func (b linShim6Block) load(dir string, earlier []OldParams) (OldParams, error) {
	out := OldParams{Imported: &Imported{Name: strings.ReplaceAll(b.name, ":", "-")}, Kind: b.kind, Of: b.name}
	var err error
	if out.Params, err = cga.LoadParams(b.params); err != nil {
		return out, err
	}
	var key *rsa.PrivateKey
	if b.key != "" {
		if key, err = cga.LoadPrivateKey(b.key); err != nil {
			return out, err
		}
		spki, err := cga.MarshalPublicKey(&key.PublicKey)
		if err != nil {
			return out, err
		}
		mp, err := out.Params.MultiPrefix()
		if err != nil {
			return out, err
		}
		// A pure HBA set has no use for a key that may be named with it.
		if !bytes.Equal(spki, out.Params.PublicKey) {
			if mp == nil || mp.P {
				return out, fmt.Errorf("%w: the private key is not that of the parameters", ErrLinShim6)
			}
			key = nil
		}
	}
	if key != nil {
		out.Key = out.Name
		for _, e := range earlier {
			if e.Key != "" && bytes.Equal(e.Params.PublicKey, out.Params.PublicKey) {
				out.Key, key = e.Key, nil
				break
			}
		}
	}
	return out, out.write(dir, key)
}

// parseLinShim6 reads the blocks, with those resolved that use another one.
func parseLinShim6(r io.Reader) ([]linShim6Block, error) {
	text, err := io.ReadAll(io.LimitReader(r, linShim6Max+1))
	if err != nil {
		return nil, err
	}
	if len(text) > linShim6Max {
		return nil, fmt.Errorf("%w: larger than %d octets", ErrLinShim6, linShim6Max)
	}
	w := words{list: split(string(text))}
	var blocks []linShim6Block
	for w.more() {
		b, err := w.block()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrLinShim6, err)
		}
		if b.kind != "hba_set" { // the parameters have the prefixes too
			blocks = append(blocks, b)
		}
		if len(blocks) > linShim6List {
			return nil, fmt.Errorf("%w: more than %d blocks", ErrLinShim6, linShim6List)
		}
	}
	return resolve(blocks)
}

func resolve(blocks []linShim6Block) ([]linShim6Block, error) {
	byName := make(map[string]linShim6Block)
	for _, b := range blocks {
		if _, dup := byName[b.name]; dup {
			return nil, fmt.Errorf("%w: %s is there twice", ErrLinShim6, b.name)
		}
		byName[b.name] = b
	}
	for i, b := range blocks {
		if b.use != "" {
			of, ok := byName[b.use]
			if !ok || of.use != "" {
				return nil, fmt.Errorf("%w: %s uses %s, which has no parameters", ErrLinShim6, b.name, b.use)
			}
			blocks[i].params, blocks[i].key = of.params, of.key
		} else if b.params == "" {
			return nil, fmt.Errorf("%w: %s has no cga_params", ErrLinShim6, b.name)
		}
	}
	return blocks, nil
}

// split cuts a text into words and the signs { } and ;. Comments begin with # and end with the line.
func split(text string) []string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		b.WriteString(strings.NewReplacer("{", " { ", "}", " } ", ";", " ; ").Replace(line))
		b.WriteByte('\n')
	}
	return strings.Fields(b.String())
}

type words struct {
	list []string
}

func (w *words) more() bool { return len(w.list) > 0 }

func (w *words) next() string {
	if len(w.list) == 0 {
		return ""
	}
	s := w.list[0]
	w.list = w.list[1:]
	return s
}

func (w *words) expect(want string) error {
	if got := w.next(); got != want {
		return fmt.Errorf("%q in place of %q", got, want)
	}
	return nil
}

var linShim6Kinds = map[string]string{"named": "named", "Named": "named", "address": "address", "Address": "address", "hba_set": "hba_set"}

func (w *words) block() (linShim6Block, error) {
	word := w.next()
	b := linShim6Block{kind: linShim6Kinds[word], name: w.next()}
	if b.kind == "" {
		return b, fmt.Errorf("%q is none of %v", word, slices.Sorted(maps.Keys(linShim6Kinds)))
	}
	_, addrErr := netip.ParseAddr(b.name)
	if b.kind == "address" && addrErr != nil || strings.ContainsAny(b.name, "/\x00{};") || strings.HasPrefix(b.name, ".") || b.name == "" {
		return b, fmt.Errorf("%q cannot be the name of a block", b.name)
	}
	if err := w.expect("{"); err != nil {
		return b, err
	}
	for {
		switch key := w.next(); {
		case key == "}":
			return b, nil
		case key == "":
			return b, fmt.Errorf("%s has no end", b.name)
		case b.kind == "hba_set":
		default:
			if err := b.set(key, w.next()); err != nil {
				return b, err
			}
		}
		if err := w.expect(";"); err != nil {
			return b, err
		}
	}
}

func (b *linShim6Block) set(key, value string) error {
	switch key {
	case "cga_params":
		b.params = value
	case "cga_priv":
		b.key = value
	case "use", "Use":
		b.use = value
	case "cga_sec", "sig_meth", "hba_set", "interface", "Interface": // said by the parameters, or of no use any more
	default:
		return fmt.Errorf("%s: unknown key %q", b.name, key)
	}
	return nil
}
