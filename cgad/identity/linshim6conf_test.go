// SPDX-License-Identifier: MIT

package identity

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseLinShim6Conf(t *testing.T) {
	for text, want := range map[string]*OldConf{
		"": {Autoconf: true, Replace: true},
		"# the shipped example\ncga_params=/etc/cgad/params.conf\nreplace_linklocal_addresses=yes\n": {
			Params: "/etc/cgad/params.conf", Autoconf: true, Replace: true,
		},
		"cgad_addr_autoconf = no\nreplace_linklocal_addresses=none of them\ncgad_thrpool_max=2\nsnd_nonce_cache=1\n": {
			Dropped: []string{"cgad_thrpool_max=2", "snd_nonce_cache=1"},
		},
	} {
		got, err := ParseLinShim6Conf(strings.NewReader(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
	for text, want := range map[string]string{
		"\nnonsense":                 `cgad.conf: line 2: "nonsense" is not key=value`,
		"=x":                         `line 1: "=x" is not key=value`,
		"cga_params=params.conf":     `line 1: "params.conf" is not an absolute path`,
		"cga_parms=/x":               `line 1: unknown key "cga_parms"`,
		strings.Repeat("x", 1<<17):   "token too long",
		"named default { use a; }\n": "is not key=value",
	} {
		if _, err := ParseLinShim6Conf(strings.NewReader(text)); !errors.Is(err, ErrLinShim6Conf) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestIsLinShim6Conf(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "# a=b\n\ncga_params=/x": true, "named default { use a; }": false, "# x\nhba_set s { 2001:db8:: ; }": false, "named a=b {": false,
	} {
		if got := IsLinShim6Conf(text); got != want {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
