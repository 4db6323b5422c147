// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
	"shim6/test/lab/module"
	"shim6/test/lab/report"
)

var smoke = Case{
	Name:  "smoke",
	About: "the modules load, offer their family, hook and unhook a namespace, and unload",
	Limit: 5 * time.Minute,
	Run:   runSmoke,
}

func runSmoke(e *Env) error {
	for _, name := range underTest {
		if !e.Works("load "+name, module.Load(report.KmodDir+"/"+name+".ko")) {
			return fmt.Errorf("%s does not load", name)
		}
	}
	conn, err := genl.Dial(0)
	if !e.Works("family shim6 is there", err) {
		return err
	}
	defer conn.Close()
	e.Check("family has the events group", conn.HasGroup(), "%v", conn.HasGroup())

	names, err := heuristics(conn)
	e.Check("heuristics none and default are registered", err == nil && slices.Contains(names, "none") && slices.Contains(names, "default"),
		"%s %v", strings.Join(names, ", "), err)
	err = conn.Do(genl.CfgSet, genl.U8(genl.Enabled, 1))
	e.Works("enable", err)
	err = conn.Do(genl.CfgSet, genl.String(genl.Heuristic, "default"))
	e.Works("choose heuristic default", err)
	err = conn.Do(genl.CfgSet, genl.String(genl.Heuristic, "no-such"))
	e.Check("an unknown heuristic is refused", errors.Is(err, unix.ENOENT), "%v", err)
	_, err = conn.Dump(genl.CtxGet)
	e.Works("dump of no contexts", err)
	err = conn.Do(genl.CfgSet, genl.String(genl.Heuristic, "none"))
	e.Works("choose heuristic none", err)
	err = conn.Do(genl.CfgSet, genl.U8(genl.Enabled, 0))
	e.Works("disable", err)
	e.unloadUnderTest()
	_, err = genl.Dial(0)
	e.Check("family is gone", err != nil, "%v", err)
	return nil
}

// underTest are our modules, in load order.
var underTest = []string{"shim6", "shim6_heur_default"}

// unloadSoon removes a module; what it freed may still wait for a grace period.
func unloadSoon(name string) error {
	var err error
	for range 50 {
		if err = module.Unload(name); !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	users, usersErr := module.Users(name)
	return fmt.Errorf("%w: %s%s", err, users, errText(usersErr))
}

// heuristics returns the names of the registered heuristics.
func heuristics(conn *genl.Conn) ([]string, error) {
	replies, err := conn.Get(genl.CfgGet, nil)
	if err != nil {
		return nil, err
	}
	if len(replies) == 0 {
		return nil, errors.New("no reply to CFG_GET")
	}
	var names []string
	ad, err := netlink.NewAttributeDecoder(replies[0].Data)
	if err != nil {
		return nil, err
	}
	for ad.Next() {
		if ad.Type() != genl.Heuristics {
			continue
		}
		ad.Nested(func(inner *netlink.AttributeDecoder) error {
			for inner.Next() {
				names = append(names, inner.String())
			}
			return nil
		})
	}
	return names, ad.Err()
}
