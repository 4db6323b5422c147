// SPDX-License-Identifier: MIT

// Package buildinfo tells which version of shim6 a program was built from.
package buildinfo

import "runtime/debug"

// version is set by the release build: -ldflags "-X shim6/internal/buildinfo.version=1.2.3".
var version string

// Version gives the version set at link time, else the module version or the commit that the Go tool recorded, with
// "-dirty" behind a changed tree, else "devel".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return fromInfo(info)
}

func fromInfo(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	set := make(map[string]string)
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	rev := set["vcs.revision"]
	if rev == "" {
		return "devel"
	}
	rev = rev[:min(len(rev), 12)]
	if set["vcs.modified"] == "true" {
		rev += "-dirty"
	}
	return rev
}
