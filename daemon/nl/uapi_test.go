// SPDX-License-Identifier: MIT

package nl

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const header = "../../kmod/uapi/linux/shim6.h"

// goNumbers are the constants of this package by their name in the header.
var goNumbers = map[string]int{
	"SHIM6_CMD_UNSPEC": cmdUnspec, "SHIM6_CMD_CTX_NEW": cmdCtxNew, "SHIM6_CMD_CTX_SET": cmdCtxSet,
	"SHIM6_CMD_CTX_DEL": cmdCtxDel, "SHIM6_CMD_CTX_GET": cmdCtxGet, "SHIM6_CMD_CTX_FLUSH": cmdCtxFlush,
	"SHIM6_CMD_REAP_SET": cmdReapSet, "SHIM6_CMD_CFG_SET": cmdCfgSet, "SHIM6_CMD_CFG_GET": cmdCfgGet,
	"SHIM6_CMD_STATS_GET": cmdStatsGet, "SHIM6_CMD_CAND_GET": cmdCandGet, "SHIM6_CMD_EV_TRIGGER": cmdEvTrigger,
	"SHIM6_CMD_EV_SEND_TIMEOUT": cmdEvSendTimeout, "SHIM6_CMD_EV_KEEPALIVE_DUE": cmdEvKeepaliveDue,
	"SHIM6_CMD_EV_PAYLOAD_SEEN": cmdEvPayloadSeen, "SHIM6_CMD_EV_UNKNOWN_TAG": cmdEvUnknownTag,
	"SHIM6_CMD_EV_CTX_GONE": cmdEvCtxGone, "SHIM6_CMD_EV_TCP_KICK": cmdEvTCPKick, "SHIM6_CMD_HEUR_GET": cmdHeurGet,
	"SHIM6_CMD_HEUR_SET": cmdHeurSet, "SHIM6_CMD_DEV_GET": cmdDevGet, "SHIM6_CMD_EV_RTO": cmdEvRTO,

	"SHIM6_A_UNSPEC": attrUnspec, "SHIM6_A_PAD": attrPad, "SHIM6_A_ULID_LOCAL": attrULIDLocal,
	"SHIM6_A_ULID_PEER": attrULIDPeer, "SHIM6_A_FII": attrFII, "SHIM6_A_TAG_LOCAL": attrTagLocal,
	"SHIM6_A_TAG_PEER": attrTagPeer, "SHIM6_A_PATHS": attrPaths, "SHIM6_A_PATH": attrPath,
	"SHIM6_A_LOCATORS_LOCAL": attrLocatorsLocal, "SHIM6_A_LOCATOR": attrLocator,
	"SHIM6_A_SEND_TIMEOUT_MS": attrSendTimeoutMS, "SHIM6_A_KEEPALIVE_TIMEOUT_MS": attrKeepaliveTimeoutMS,
	"SHIM6_A_KEEPALIVE_INTERVAL_MS": attrKeepaliveIntervalMS, "SHIM6_A_REAP_STATE": attrReapState,
	"SHIM6_A_REAP_EPOCH": attrReapEpoch, "SHIM6_A_SEND_TIMER": attrSendTimer,
	"SHIM6_A_KEEPALIVE_TIMER": attrKeepaliveTimer, "SHIM6_A_KEEPALIVE_LAST": attrKeepaliveLast,
	"SHIM6_A_TX_PACKETS": attrTxPackets, "SHIM6_A_TX_BYTES": attrTxBytes, "SHIM6_A_RX_PACKETS": attrRxPackets,
	"SHIM6_A_RX_BYTES": attrRxBytes, "SHIM6_A_IDLE_MS": attrIdleMS, "SHIM6_A_PACKETS": attrPackets,
	"SHIM6_A_BYTES": attrBytes, "SHIM6_A_AGE_MS": attrAgeMS, "SHIM6_A_LOCATOR_SRC": attrLocatorSrc,
	"SHIM6_A_LOCATOR_DST": attrLocatorDst, "SHIM6_A_TAG": attrTag, "SHIM6_A_SOCKETS": attrSockets,
	"SHIM6_A_TIME_NS": attrTimeNS, "SHIM6_A_ENABLED": attrEnabled, "SHIM6_A_HEURISTIC": attrHeuristic,
	"SHIM6_A_HEURISTICS": attrHeuristics, "SHIM6_A_TCP_KICK": attrTCPKick, "SHIM6_A_GSO_MODE": attrGSOMode,
	"SHIM6_A_MARK_MASK": attrMarkMask, "SHIM6_A_STATS": attrStats, "SHIM6_A_STACK": attrStack, "SHIM6_A_USE": attrUse,
	"SHIM6_A_PARAM": attrParam, "SHIM6_A_ASKED": attrAsked, "SHIM6_A_GSO_DEVICES": attrGSODevices, "SHIM6_A_DEVICE": attrDevice,
	"SHIM6_A_RTO_HINT": attrRTOHint,

	"SHIM6_DEV_A_UNSPEC": devAttrUnspec, "SHIM6_DEV_A_NAME": devAttrName, "SHIM6_DEV_A_GSO_MODE": devAttrGSOMode,
	"SHIM6_DEV_A_IFINDEX": devAttrIfindex, "SHIM6_DEV_A_GSO_WHY": devAttrGSOWhy,

	"SHIM6_USE_A_UNSPEC": useAttrUnspec, "SHIM6_USE_A_PAD": useAttrPad, "SHIM6_USE_A_NAME": useAttrName,
	"SHIM6_USE_A_REFUSALS": useAttrRefusals, "SHIM6_USE_A_TRIGGERS": useAttrTriggers, "SHIM6_USE_A_VETOES": useAttrVetoes,
	"SHIM6_USE_A_PARAM": useAttrParam,

	"SHIM6_PARAM_A_UNSPEC": paramAttrUnspec, "SHIM6_PARAM_A_PAD": paramAttrPad, "SHIM6_PARAM_A_NAME": paramAttrName,
	"SHIM6_PARAM_A_VALUE": paramAttrValue, "SHIM6_PARAM_A_INITIAL": paramAttrInitial, "SHIM6_PARAM_A_MIN": paramAttrMin,
	"SHIM6_PARAM_A_MAX_VALUE": paramAttrMaxValue,

	"SHIM6_PATH_A_UNSPEC": pathAttrUnspec, "SHIM6_PATH_A_LOCAL": pathAttrLocal, "SHIM6_PATH_A_PEER": pathAttrPeer,
	"SHIM6_PATH_A_PAD": pathAttrPad, "SHIM6_PATH_A_TX_PACKETS": pathAttrTxPackets, "SHIM6_PATH_A_TX_BYTES": pathAttrTxBytes,
	"SHIM6_PATH_A_RX_PACKETS": pathAttrRxPackets, "SHIM6_PATH_A_RX_BYTES": pathAttrRxBytes,
	"SHIM6_PATH_A_TX_IDLE_MS": pathAttrTxIdleMS, "SHIM6_PATH_A_RX_IDLE_MS": pathAttrRxIdleMS,

	"SHIM6_REAP_OPERATIONAL": int(ReapOperational), "SHIM6_REAP_EXPLORING": int(ReapExploring),
	"SHIM6_REAP_INBOUND_OK": int(ReapInboundOk),

	"SHIM6_TIMER_KEEP": int(TimerKeep), "SHIM6_TIMER_STOP": int(TimerStop), "SHIM6_TIMER_START": int(TimerStart),
	"SHIM6_TIMER_RESTART": int(TimerRestart),

	"SHIM6_GSO_SEGMENT": int(GSOSegment), "SHIM6_GSO_WHOLE": int(GSOWhole), "SHIM6_GSO_AUTO": int(GSOAuto),

	"SHIM6_GSO_WHY_NETNS": int(GSOWhyNetns), "SHIM6_GSO_WHY_DEVICE": int(GSOWhyDevice), "SHIM6_GSO_WHY_SOFTWARE": int(GSOWhySoftware),
	"SHIM6_GSO_WHY_HARDWARE": int(GSOWhyHardware),

	"SHIM6_STAT_UNSPEC": int(statUnspec),

	"SHIM6_GENL_VERSION": familyVersion, "SHIM6_MAX_PATHS": MaxPaths, "SHIM6_MAX_LOCATORS": MaxLocators,
	"SHIM6_HEURISTIC_NAME_MAX": heuristicNameMax, "SHIM6_STACK_MAX": stackMax, "SHIM6_PARAMS_MAX": paramsMax,
	"SHIM6_TAG_BITS": tagBits, "SHIM6_MAX_GSO_DEVICES": MaxGSODevices,
}

var (
	comment    = regexp.MustCompile(`(?s)/\*.*?\*/`)
	enum       = regexp.MustCompile(`(?s)enum (\w+) \{(.*?)\}`)
	define     = regexp.MustCompile(`(?m)^#define\s+(\w+)\s+(\d+)\b`)
	defineText = regexp.MustCompile(`(?m)^#define\s+(\w+)\s+"(.*)"`)
	attrLine   = regexp.MustCompile(`(?m)^\s*SHIM6_A_(\w+),\s*/\* (\w+)`)
)

func headerText(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(header)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// headerNumbers reads the enumerators and the numeric macros of the header, without the markers of an enum's end.
func headerNumbers(t *testing.T, text string) map[string]int {
	t.Helper()
	text = comment.ReplaceAllString(text, "")
	numbers := make(map[string]int)
	for _, e := range enum.FindAllStringSubmatch(text, -1) {
		next := 0
		for field := range strings.SplitSeq(e[2], ",") {
			name, value, explicit := strings.Cut(strings.TrimSpace(field), "=")
			name = strings.TrimSpace(name)
			if name == "" || strings.HasSuffix(name, "_MAX") {
				continue
			}
			if explicit {
				n, err := strconv.Atoi(strings.TrimSpace(value))
				if err != nil {
					t.Fatalf("enum %s: %s: %v", e[1], name, err)
				}
				next = n
			}
			numbers[name] = next
			next++
		}
	}
	for _, d := range define.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(d[2])
		if err != nil {
			t.Fatal(err)
		}
		numbers[d[1]] = n
	}
	return numbers
}

func TestNumbersAreThoseOfTheHeader(t *testing.T) {
	got := make(map[string]int)
	for k, v := range goNumbers {
		got[k] = v
	}
	for s := statUnspec + 1; s < statCount; s++ {
		got["SHIM6_STAT_"+strings.ToUpper(s.String())] = int(s)
	}
	want := headerNumbers(t, headerText(t))
	// The socket that carries protocol 140 is not this package's.
	delete(want, "SHIM6_IPPROTO")
	delete(want, "SHIM6_RTPROT") // internal/rtnl compares it
	if len(want) < 80 {
		t.Fatalf("only %d numbers were found in %s", len(want), header)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("header and Go differ (-header +go):\n%s", d)
	}
}

func TestTextsAreThoseOfTheHeader(t *testing.T) {
	want := map[string]string{"SHIM6_GENL_NAME": familyName, "SHIM6_GENL_MCGRP_EVENTS": groupEvents}
	got := make(map[string]string)
	for _, d := range defineText.FindAllStringSubmatch(headerText(t), -1) {
		got[d[1]] = d[2]
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("header and Go differ (-header +go):\n%s", d)
	}
}

// The header names the type of each attribute in a comment; kinds must say the same.
func TestKindsAreThoseOfTheHeader(t *testing.T) {
	byWord := map[string]kind{
		"in6_addr": kindAddr, "u8": kindU8, "u32": kindU32, "u64": kindU64, "flag": kindFlag, "string": kindString,
		"nested": kindNested,
	}
	lines := attrLine.FindAllStringSubmatch(headerText(t), -1)
	if len(lines) < 30 {
		t.Fatalf("only %d attributes with a type were found in %s", len(lines), header)
	}
	for _, l := range lines {
		want, ok := byWord[l[2]]
		if !ok {
			t.Errorf("SHIM6_A_%s: type %q is not known to this test", l[1], l[2])
			continue
		}
		a := goNumbers["SHIM6_A_"+l[1]]
		// These only occur inside a nested attribute, where their place gives the kind.
		if a == attrPath || a == attrLocator || a == attrUse {
			want = kindNone
		}
		if kinds[a] != want {
			t.Errorf("SHIM6_A_%s: kind %d, the header says %q", l[1], kinds[a], l[2])
		}
	}
}

func TestStatString(t *testing.T) {
	for s, want := range map[Stat]string{
		StatTxRewritten: "tx_rewritten", StatEventsLost: "events_lost", statUnspec: "stat_0", statCount: "stat_25", 65535: "stat_65535",
	} {
		if got := s.String(); got != want {
			t.Errorf("Stat(%d).String() = %q, want %q", uint16(s), got, want)
		}
	}
}

// Every counter is explained where operators look for it.
func TestCountersAreInTheManual(t *testing.T) {
	b, err := os.ReadFile("../shim6ctl/shim6ctl.8")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), ".Sh KERNEL COUNTERS\n")
	section, _, _ = strings.Cut(section, ".Sh ")
	for s := statUnspec + 1; s < statCount; s++ {
		if !regexp.MustCompile(`(?m)^\.It Cm .*\b` + s.String() + `\b`).MatchString(section) {
			t.Errorf("%s is not in the manual", s)
		}
	}
}
