// SPDX-License-Identifier: MIT

package ra

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var good = Meta{Source: netip.MustParseAddr("fe80::1"), HopLimit: 255}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Parts of messages; the checksum is the kernel's.
const (
	header  = "86 00 0000 40 00 0708 00000000 00000000 "
	pioA    = "03 04 40 c0 00015180 00003840 00000000 20010db8000a00010000000000000000 "
	pioB    = "03 04 40 40 ffffffff ffffffff 00000000 20010db8000b00010000000000000000 "
	rdnss   = "19 03 0000 00000e10 20010db8000000000000000000000053 "
	dnssl   = "1f 03 0000 00000e10 076578616d706c65036e657400 000000 "
	pref64  = "26 02 0708 0064ff9b0000000000000000 "
	unknown = "fd 02 deadbeefdeadbeefdeadbeefdead "
)

var comparers = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b error) bool { return a.Error() == b.Error() }),
}

var wantA = Prefix{Prefix: netip.MustParsePrefix("2001:db8:a:1::/64"), OnLink: true, Autonomous: true, Valid: 24 * time.Hour, Preferred: 4 * time.Hour}
var wantB = Prefix{Prefix: netip.MustParsePrefix("2001:db8:b:1::/64"), Autonomous: true, Valid: Infinite, Preferred: Infinite}

func TestParse(t *testing.T) {
	ignored := func(kind uint8, off int, detail string) []error { return []error{&OptionError{kind, off, detail}} }
	for _, tt := range []struct {
		name, octets string
		want         Advertisement
	}{
		{"no options", header, Advertisement{}},
		{"two prefixes", header + pioA + pioB, Advertisement{Prefixes: []Prefix{wantA, wantB}}},
		// RFC 4861 section 6.1.2: "Receivers MUST ignore any options they do not recognize and continue processing."
		// Rows 7 and 8.
		{"unknown option before", header + unknown + rdnss + pioA, Advertisement{Prefixes: []Prefix{wantA}}},
		// RFC 4861 section 6.1.2: options that are not "specified for use with Router Advertisement messages MUST be ignored and
		// the packet processed as normal": Target Link-Layer Address and Redirected Header.
		{"options of other messages", header + "02 01 020000000001" + "04 02 000000000000 6000000000000000" + pioA, Advertisement{Prefixes: []Prefix{wantA}}},
		// What other programs handle costs nothing: RFC 8106, RFC 8781.
		{"RDNSS, DNSSL and PREF64", header + rdnss + dnssl + pioA + pref64 + pioB, Advertisement{Prefixes: []Prefix{wantA, wantB}}},
		{"RDNSS that is too short", header + "19 01 000000000e10 " + pioA, Advertisement{Prefixes: []Prefix{wantA}}},
		{"reserved bits set", "86 00 0000 40 27 0708 00000000 00000000 " + strings.Replace(pioA, "c0 0001", "ff 0001", 1),
			Advertisement{Prefixes: []Prefix{wantA}}},
		{"reserved field set", header + strings.Replace(pioA, "00000000", "ffffffff", 1), Advertisement{Prefixes: []Prefix{wantA}}},
		// Row 15: bits beyond the prefix length are ignored.
		{"host bits", header + "03 04 40 c0 00015180 00003840 00000000 20010db8000a0001ffffffffffffffff", Advertisement{Prefixes: []Prefix{wantA}}},
		// Row 14: the option is ignored, the one behind it is not.
		{"prefix length 129", header + "03 04 81 c0 00015180 00003840 00000000 20010db8000a00010000000000000000" + pioA,
			Advertisement{Prefixes: []Prefix{wantA}, Ignored: ignored(3, 16, "has prefix length 129")}},
		{"prefix option of 24 octets", header + "03 03 40 c0 00015180 00003840 00000000 20010db8000a0001" + pioA,
			Advertisement{Prefixes: []Prefix{wantA}, Ignored: ignored(3, 16, "has 24 octets, a prefix information option has 32")}},
		// Row 6.
		{"option beyond the end", header + pioA + "03 04 40 c0 00015180",
			Advertisement{Prefixes: []Prefix{wantA}, Ignored: ignored(3, 48, "has 32 octets, 8 are left")}},
		{"one octet left", header + pioA + "03",
			Advertisement{Prefixes: []Prefix{wantA}, Ignored: ignored(3, 48, "the message ends inside its header")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.RouterLifetime = 30 * time.Minute
			got, err := Parse(unhex(t, tt.octets), good)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&tt.want, got, comparers); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// RFC 4861 section 6.1.2: "A node MUST silently discard any received Router Advertisement messages that do not satisfy
// all of the following validity checks". Rows 1 to 5.
func TestParseDiscards(t *testing.T) {
	whole := header + pioA
	from := func(s string) Meta { return Meta{netip.MustParseAddr(s), 255} }
	for _, tt := range []struct {
		name, octets string
		meta         Meta
		want         string
	}{
		{"hop limit 254", whole, Meta{good.Source, 254}, "hop limit"},
		{"no hop limit", whole, Meta{Source: good.Source}, "hop limit"},
		{"global source", whole, from("2001:db8::1"), "not link-local"},
		{"unspecified source", whole, from("::"), "not link-local"},
		{"no source", whole, Meta{HopLimit: 255}, "not link-local"},
		{"IPv4 source", whole, from("169.254.0.1"), "not link-local"},
		{"code 1", "86 01" + whole[5:], good, "code is 1"},
		{"solicitation", "85 00" + whole[5:], good, "type is 133"},
		{"15 octets", whole[:strings.LastIndex(header, "00")], good, "at least 16"},
		{"nothing", "", good, "at least 16"},
		{"option of length 0", header + pioA + "05 00 0000 000005dc" + pioB, good, "length 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(unhex(t, tt.octets), tt.meta)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %+v, %v; want an error with %q", got, err, tt.want)
			}
		})
	}
}

// RFC 4191 section 2.2: "If the Reserved (10) value is received, the receiver MUST treat the value as if it were (00)."
func TestRouterPreference(t *testing.T) {
	for flags, want := range map[string]Preference{"00": Medium, "08": High, "10": Medium, "18": Low, "e8": High} {
		a, err := Parse(unhex(t, "86 00 0000 40 "+flags+" 0708 00000000 00000000"), good)
		if err != nil || a.Preference != want {
			t.Errorf("flags %s: got %v, %v; want %v", flags, a, err, want)
		}
		// "If the Router Lifetime is zero, the preference value MUST be set to (00) by the sender and MUST be ignored by
		// the receiver."
		a, err = Parse(unhex(t, "86 00 0000 40 "+flags+" 0000 00000000 00000000"), good)
		if err != nil || a.Preference != Medium || a.RouterLifetime != 0 {
			t.Errorf("flags %s without a lifetime: got %+v, %v", flags, a, err)
		}
	}
}

func TestRouteInformation(t *testing.T) {
	route := func(prefix string, p Preference, seconds int) Route {
		return Route{netip.MustParsePrefix(prefix), p, time.Duration(seconds) * time.Second}
	}
	for _, tt := range []struct {
		name, octets string
		want         []Route
		ignored      int
	}{
		{"default route in 8 octets", "18 01 00 08 00000e10", []Route{route("::/0", High, 3600)}, 0},
		{"16 octets", "18 02 20 18 00000e10 20010db8ffffffff", []Route{route("2001:db8::/32", Low, 3600)}, 0},
		{"24 octets", "18 03 80 00 00000000 20010db8000000000000000000000001", []Route{route("2001:db8::1/128", Medium, 0)}, 0},
		{"short prefix in 24 octets", "18 03 20 00 00000001 20010db8000000000000000000000001", []Route{route("2001:db8::/32", Medium, 1)}, 0},
		{"infinite", "18 01 00 00 ffffffff", []Route{{netip.MustParsePrefix("::/0"), Medium, Infinite}}, 0},
		{"reserved preference", "18 01 00 10 00000e10", nil, 1},
		{"prefix too long for 8 octets", "18 01 01 00 00000e10", nil, 1},
		{"prefix too long for 16 octets", "18 02 41 00 00000e10 20010db8ffffffff", nil, 1},
		{"prefix length 129", "18 03 81 00 00000e10 20010db8000000000000000000000001", nil, 1},
		{"32 octets", "18 04 40 00 00000e10 20010db8000000000000000000000001 0000000000000000", nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, err := Parse(unhex(t, header+tt.octets+pioA), good)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, a.Routes, comparers); d != "" || len(a.Ignored) != tt.ignored {
				t.Errorf("%d ignored: %v\n(-want +got):\n%s", len(a.Ignored), a.Ignored, d)
			}
			if len(a.Prefixes) != 1 {
				t.Errorf("the prefix behind it is lost: %+v", a.Prefixes)
			}
		})
	}
}

// One message cannot make the log grow without end.
func TestIgnoredIsBounded(t *testing.T) {
	a, err := Parse(unhex(t, header+strings.Repeat("03 01 000000000000", 8000)+pioA), good)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Ignored) != ignoredMax || len(a.Prefixes) != 1 {
		t.Errorf("%d ignored and %d prefixes, want %d and 1", len(a.Ignored), len(a.Prefixes), ignoredMax)
	}
	var oe *OptionError
	if !errors.As(a.Ignored[1], &oe) || oe.Offset != 24 || !strings.HasPrefix(oe.Error(), "option 3 at octet 24: ") {
		t.Errorf("got %v", a.Ignored[1])
	}
}

func TestSolicitation(t *testing.T) {
	for linkLayer, want := range map[string]string{
		"":                 "8500000000000000",
		"020000000001":     "8500000000000000" + "0101020000000001",
		"0200000000000001": "8500000000000000" + "010202000000000000010000000000" + "00",
	} {
		if got := hex.EncodeToString(Solicitation(unhex(t, linkLayer))); got != want {
			t.Errorf("%s: got %s, want %s", linkLayer, got, want)
		}
	}
}

func TestPreferenceString(t *testing.T) {
	if got := Low.String() + Medium.String() + High.String(); got != "lowmediumhigh" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", header, header + pioA + pioB, header + unknown + rdnss, header + "18 02 20 18 00000e10 20010db8ffffffff", header + "0500"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b, good)
		if err != nil {
			return
		}
		if n := len(a.Prefixes)*32 + len(a.Routes)*8; n > len(b)-headerLen {
			t.Fatalf("%d octets hold %d prefixes and %d routes", len(b), len(a.Prefixes), len(a.Routes))
		}
		for _, p := range a.Prefixes {
			if !p.Prefix.IsValid() || p.Prefix != p.Prefix.Masked() || p.Valid < 0 || p.Preferred < 0 {
				t.Fatalf("bad prefix %+v", p)
			}
		}
		for _, r := range a.Routes {
			if !r.Prefix.IsValid() || r.Prefix != r.Prefix.Masked() || r.Lifetime < 0 {
				t.Fatalf("bad route %+v", r)
			}
		}
	})
}
