// SPDX-License-Identifier: MIT

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/nl"
	"shim6/internal/cga"
)

func (x *examination) module(context.Context) {
	c, err := nl.Dial()
	switch {
	case errors.Is(err, nl.ErrNotLoaded):
		x.say(Fail, CodeModuleMissing, "modprobe shim6; if there is none for this kernel: dkms status", "shim6 is not loaded")
		return
	case err != nil:
		x.say(Fail, CodeModuleVersion, "load the module of this version: modprobe -r shim6; modprobe shim6", "%v", err)
		return
	}
	defer c.Close()
	x.say(OK, CodeModuleLoaded, "", "shim6 is loaded")
}

func (x *examination) daemon(ctx context.Context) {
	c := ctl.NewClient(x.Socket)
	defer c.Close()
	s, err := c.Status(ctx)
	var answer *ctl.Error
	switch {
	case errors.As(err, &answer) && answer.Status == http.StatusForbidden:
		x.say(Unknown, CodeDaemonDenies, "run as root or as a member of the socket's group", "%v", err)
	case err != nil:
		x.say(Fail, CodeDaemonDown, "systemctl start shim6d; then: journalctl -u shim6d", "%v", err)
	default:
		x.say(OK, CodeDaemonRuns, "", "shim6d %s runs, with %d contexts", s.Version, s.Contexts)
	}
}

func (x *examination) configuration(context.Context) {
	c, err := config.Load(x.Config, false)
	x.keyDir = config.Default().Keys
	switch {
	case errors.Is(err, fs.ErrPermission):
		x.say(Unknown, CodeNotLookedAt, "run as root", "%v", err)
		return
	case err != nil:
		for line := range strings.Lines(err.Error()) {
			x.say(Fail, CodeConfigBad, "shim6.yaml(5) has the keys", "%s", strings.TrimSpace(line))
		}
		return
	}
	x.keyDir, x.links = c.Keys, c.Interfaces
	if warnings := c.Warnings(); len(warnings) > 0 {
		for _, w := range warnings {
			x.say(Warn, CodeConfigUnwise, "", "%s", w)
		}
		return
	}
	x.say(OK, CodeConfigGood, "", "%s is right, or not there", x.Config)
}

// othersMode is what others than the owner may do to a private key: nothing.
const othersMode = 0o077

func (x *examination) keys(context.Context) {
	list, err := os.ReadDir(x.keyDir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		x.say(Unknown, CodeNotLookedAt, "run as root", "%v", err)
		return
	case errors.Is(err, fs.ErrNotExist):
		x.say(Warn, CodeKeysNone, "make them: systemctl start cgad, or cgatool generate", "there is no %s", x.keyDir)
		return
	case err != nil:
		x.say(Fail, CodeKeysBad, "", "%v", err)
		return
	}
	keys, open := 0, false
	for _, f := range list {
		if !strings.HasSuffix(f.Name(), ".pem") {
			continue
		}
		keys++
		name := filepath.Join(x.keyDir, f.Name())
		if why := exposed(name); why != "" {
			open = true
			x.say(Fail, CodeKeyPermissions, fmt.Sprintf("chown root: %s; chmod 600 %s", name, name), "%s %s", name, why)
		}
	}
	if _, err := cga.LoadDir(x.keyDir); err != nil {
		x.say(Fail, CodeKeysBad, "shim6d --check tells of each", "%v", err)
		return
	}
	switch {
	case keys == 0:
		x.say(Warn, CodeKeysNone, "make them: systemctl start cgad, or cgatool generate", "no private key in %s: addresses of this host are not proved", x.keyDir)
	case !open:
		x.say(OK, CodeKeysGood, "", "%d private keys, which only their owner reads", keys)
	}
}

// exposed says why a private key is not private.
func exposed(name string) string {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return err.Error()
	}
	switch {
	case st.Mode&othersMode != 0:
		return fmt.Sprintf("has mode %#o: others may use it", st.Mode&0o777)
	case st.Uid != 0 && st.Uid != uint32(os.Geteuid()):
		return fmt.Sprintf("belongs to user %d", st.Uid)
	}
	return ""
}
