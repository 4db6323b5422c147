// SPDX-License-Identifier: MIT

package identity

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// ErrLinShim6Conf is wrapped by every error about what a cgad.conf of LinShim6 says.
var ErrLinShim6Conf = errors.New("cgad.conf")

// An OldConf is what a cgad.conf of LinShim6 says.
type OldConf struct {
	Params   string   // path of params.conf; empty when it is not named
	Autoconf bool     // whether addresses are made at all
	Replace  bool     // link-local addresses are replaced by CGAs
	Dropped  []string // keys that mean nothing any more, as they were written
}

// What became of the keys of cgad.conf. Those for nonces, timestamps, key lengths and debugging did nothing there either.
var droppedKeys = map[string]bool{
	"cgad_pfx_cache_gc_intvl": true, "cgad_thrpool_max": true, "cga_minsec": true, "min_key_bits": true, "cgad_debugs": true,
}

// ParseLinShim6Conf reads a cgad.conf of LinShim6: lines of key=value.
func ParseLinShim6Conf(r io.Reader) (*OldConf, error) {
	c := &OldConf{Autoconf: true, Replace: true}
	lines := bufio.NewScanner(io.LimitReader(r, linShim6Max))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !ok || key == "":
			return nil, fmt.Errorf("%w: line %d: %q is not key=value", ErrLinShim6Conf, n, line)
		case key == "cga_params":
			if !filepath.IsAbs(value) {
				return nil, fmt.Errorf("%w: line %d: %q is not an absolute path", ErrLinShim6Conf, n, value)
			}
			c.Params = value
		case key == "cgad_addr_autoconf":
			c.Autoconf = yes(value)
		case key == "replace_linklocal_addresses":
			c.Replace = yes(value)
		case droppedKeys[key] || strings.Contains(key, "nonce") || strings.Contains(key, "timestamp"):
			c.Dropped = append(c.Dropped, line)
		default:
			return nil, fmt.Errorf("%w: line %d: unknown key %q", ErrLinShim6Conf, n, key)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLinShim6Conf, err)
	}
	return c, nil
}

// yes is how LinShim6 read a yes or no.
func yes(value string) bool { return !strings.HasPrefix(value, "no") }

// IsLinShim6Conf tells a cgad.conf of LinShim6 from a params.conf, which has blocks.
func IsLinShim6Conf(text string) bool {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if strings.TrimSpace(line) != "" {
			return strings.Contains(line, "=") && !strings.Contains(line, "{")
		}
	}
	return false
}
