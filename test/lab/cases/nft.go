// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"os"
	"regexp"
	"strconv"

	"shim6/test/lab/node"
)

// ruleset has nft read rules in a node.
func ruleset(n *node.Node, rules string) error {
	file, err := os.CreateTemp("", "rules")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(rules)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	_, err = n.Output("nft", "-f", file.Name())
	return err
}

var counterPackets = regexp.MustCompile(`packets (\d+)`)

// counted returns how many packets a named counter of table ip6 lab has seen.
func counted(n *node.Node, name string) (int, error) {
	out, err := n.Output("nft", "list", "counter", "ip6", "lab", name)
	if err != nil {
		return 0, err
	}
	found := counterPackets.FindStringSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("counter %s: %s", name, out)
	}
	return strconv.Atoi(found[1])
}
