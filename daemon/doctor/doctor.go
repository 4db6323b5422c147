// SPDX-License-Identifier: MIT

// Package doctor looks for what keeps a host from being protected: it asks the kernel itself, so that it works without the
// daemon and the module, whose absence is among what it finds.
package doctor

import (
	"context"
	"fmt"
)

// A Finding is the result of one check.
type Finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	Code   string `json:"code"`
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`
}

// The values of Finding.Result.
const (
	OK      = "ok"
	Warn    = "warn"    // protection suffers
	Fail    = "fail"    // there is none
	Unknown = "unknown" // it could not be looked at
)

// The codes of findings.
const (
	CodeModuleLoaded        = "module-loaded"
	CodeModuleMissing       = "module-missing"
	CodeModuleVersion       = "module-version"
	CodeDaemonRuns          = "daemon-runs"
	CodeDaemonDown          = "daemon-down"
	CodeDaemonDenies        = "daemon-denies"
	CodeConfigGood          = "configuration-good"
	CodeConfigBad           = "configuration-bad"
	CodeConfigUnwise        = "configuration-unwise"
	CodeKeysGood            = "keys-good"
	CodeKeysBad             = "keys-bad"
	CodeKeysNone            = "keys-none"
	CodeKeyPermissions      = "key-permissions"
	CodeIPv6On              = "ipv6-on"
	CodeIPv6Off             = "ipv6-off"
	CodeTemporaryAddresses  = "temporary-addresses"
	CodeForwardingNoRA      = "forwarding-ignores-ra"
	CodeSysctlsGood         = "sysctls-good"
	CodeNoAddress           = "no-address"
	CodeOneProvider         = "one-provider"
	CodeProviders           = "providers"
	CodeSourceRouting       = "source-routing"
	CodeSourceRoutingBroken = "source-routing-broken"
	CodeFirewallOpen        = "firewall-open"
	CodeFirewallDrops       = "firewall-drops-140"
	CodeFirewallUnknown     = "firewall-not-read"
	CodeClockGood           = "clock-good"
	CodeClockWrong          = "clock-wrong"
	CodeClockFree           = "clock-unsynchronised"
	CodeMTUGood             = "mtu-good"
	CodeMTUSmall            = "mtu-small"
	CodeNotLookedAt         = "not-looked-at"
)

// Codes lists every code that a Finding can have.
func Codes() []string {
	return []string{
		CodeModuleLoaded, CodeModuleMissing, CodeModuleVersion, CodeDaemonRuns, CodeDaemonDown, CodeDaemonDenies, CodeConfigGood,
		CodeConfigBad, CodeConfigUnwise, CodeKeysGood, CodeKeysBad, CodeKeysNone, CodeKeyPermissions, CodeIPv6On, CodeIPv6Off,
		CodeTemporaryAddresses, CodeForwardingNoRA, CodeSysctlsGood, CodeNoAddress, CodeOneProvider, CodeProviders, CodeSourceRouting,
		CodeSourceRoutingBroken, CodeFirewallOpen, CodeFirewallDrops, CodeFirewallUnknown, CodeClockGood, CodeClockWrong,
		CodeClockFree, CodeMTUGood, CodeMTUSmall, CodeNotLookedAt,
	}
}

// A Host is where things are.
type Host struct {
	Config string // file, that need not be there
	Socket string
	Proc   string // where procfs is mounted
}

// Examine makes every check.
func Examine(ctx context.Context, h Host) []Finding {
	x := &examination{Host: h}
	for _, check := range []struct {
		name string
		run  func(context.Context)
	}{
		{"kernel module", x.module},
		{"daemon", x.daemon},
		{"configuration", x.configuration},
		{"keys", x.keys},
		{"sysctls", x.sysctls},
		{"addresses", x.addresses},
		{"rules", x.rules},
		{"firewall", x.firewall},
		{"clock", x.clock},
		{"mtu", x.mtu},
	} {
		x.name = check.name
		check.run(ctx)
	}
	return x.found
}

// An examination collects findings.
type examination struct {
	Host
	name   string
	found  []Finding
	keyDir string
	links  []string // whose addresses may be locators
	local  []address
}

func (x *examination) say(result, code, hint, format string, args ...any) {
	x.found = append(x.found, Finding{x.name, result, code, fmt.Sprintf(format, args...), hint})
}
