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
)

var smoke = Case{
	Name:  "smoke",
	About: "all modules load, offer their family, hook and unhook a namespace, and unload",
	Limit: 5 * time.Minute,
	Run:   runSmoke,
}

func runSmoke(e *Env) error {
	names, err := underTest()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !e.Works("load "+name, loadOne(name)) {
			return fmt.Errorf("%s does not load", name)
		}
	}
	conn, err := genl.Dial(0)
	if !e.Works("family shim6 is there", err) {
		return err
	}
	defer conn.Close()
	e.Check("family has the events group", conn.HasGroup(), "%v", conn.HasGroup())

	known, err := heuristics(conn)
	e.Check("heuristics none and default are registered", err == nil && slices.Contains(known, "none") && slices.Contains(known, "default"),
		"%s %s", strings.Join(known, ", "), errText(err))
	// Each heuristic module registers one, none is built in.
	e.Check("every heuristic module registers a heuristic", len(known) == len(names), "%d modules, %d heuristics", len(names)-1, len(known))
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
