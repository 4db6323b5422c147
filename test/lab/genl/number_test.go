// SPDX-License-Identifier: MIT

package genl

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The numbers are positions in the header's enums.
func TestNumbersAreThoseOfTheHeader(t *testing.T) {
	raw, err := os.ReadFile("../../../kmod/uapi/linux/shim6.h")
	if err != nil {
		t.Fatal(err)
	}
	commands := enumOf(t, string(raw), "shim6_cmd")
	attrs := enumOf(t, string(raw), "shim6_attr")
	for name, want := range enumOf(t, string(raw), "shim6_path_attr") {
		attrs[name] = want
	}
	for name, want := range enumOf(t, string(raw), "shim6_use_attr") {
		attrs[name] = want
	}
	for name, want := range enumOf(t, string(raw), "shim6_param_attr") {
		attrs[name] = want
	}
	for _, enum := range []string{"shim6_dev_attr", "shim6_gso_mode", "shim6_gso_why"} {
		for name, want := range enumOf(t, string(raw), enum) {
			attrs[name] = want
		}
	}
	for name, got := range map[string]int{
		"SHIM6_CMD_CTX_NEW": CtxNew, "SHIM6_CMD_REAP_SET": ReapSet, "SHIM6_CMD_CAND_GET": CandGet,
		"SHIM6_CMD_EV_TCP_KICK": EvTCPKick, "SHIM6_CMD_HEUR_SET": HeurSet, "SHIM6_CMD_DEV_GET": DevGet, "__SHIM6_CMD_MAX": cmdEnd,
	} {
		if want, ok := commands[name]; !ok || got != want {
			t.Errorf("%s = %d, header has %d", name, got, want)
		}
	}
	for name, got := range map[string]int{
		"SHIM6_A_ULID_LOCAL": ULIDLocal, "SHIM6_A_LOCATORS_LOCAL": LocatorsLocal, "SHIM6_A_KEEPALIVE_LAST": KeepaliveLast,
		"SHIM6_A_LOCATOR_SRC": LocatorSrc, "SHIM6_A_HEURISTICS": Heuristics, "SHIM6_A_STATS": Stats, "SHIM6_USE_A_NAME": UseName,
		"SHIM6_PATH_A_TX_PACKETS": PathTxPackets, "SHIM6_PATH_A_RX_IDLE_MS": PathRxIdleMS,
		"SHIM6_USE_A_PARAM": UseParam, "SHIM6_PARAM_A_NAME": ParamName, "SHIM6_PARAM_A_MAX_VALUE": ParamMaxValue,
		"SHIM6_A_GSO_DEVICES": GSODevices, "SHIM6_A_DEVICE": Device, "SHIM6_DEV_A_NAME": DevName, "SHIM6_DEV_A_GSO_WHY": DevGSOWhy,
		"SHIM6_GSO_WHOLE": GSOWhole, "SHIM6_GSO_AUTO": GSOAuto, "SHIM6_GSO_WHY_HARDWARE": GSOWhyHardware,
		"__SHIM6_A_MAX": attrEnd,
	} {
		if want, ok := attrs[name]; !ok || got != want {
			t.Errorf("%s = %d, header has %d", name, got, want)
		}
	}
}

func enumOf(t *testing.T, header, name string) map[string]int {
	t.Helper()
	_, body, ok := strings.Cut(header, "enum "+name+" {")
	if !ok {
		t.Fatalf("the header has no enum %s", name)
	}
	body, _, _ = strings.Cut(body, "}")
	body = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(body, "")
	values := map[string]int{}
	for i, m := range regexp.MustCompile(`(?m)^\s*(\w+),?\s*$`).FindAllStringSubmatch(body, -1) {
		values[m[1]] = i
	}
	return values
}
