// SPDX-License-Identifier: MIT

package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestVersionSetByTheLinkerWins(t *testing.T) {
	defer func(v string) { version = v }(version)
	version = "1.2.3"
	if got := Version(); got != "1.2.3" {
		t.Errorf("got %q, want 1.2.3", got)
	}
}

func TestVersionIsNeverEmpty(t *testing.T) {
	if Version() == "" {
		t.Error("empty version")
	}
}

func TestFromInfo(t *testing.T) {
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for _, tt := range []struct {
		name     string
		main     string
		settings []debug.BuildSetting
		want     string
	}{
		{"module version", "v0.3.0", []debug.BuildSetting{commit}, "v0.3.0"},
		{"commit", "(devel)", []debug.BuildSetting{commit, {Key: "vcs.modified", Value: "false"}}, "0123456789ab"},
		{"changed tree", "", []debug.BuildSetting{commit, dirty}, "0123456789ab-dirty"},
		{"nothing recorded", "(devel)", nil, "devel"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			info := &debug.BuildInfo{Settings: tt.settings}
			info.Main.Version = tt.main
			if got := fromInfo(info); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
