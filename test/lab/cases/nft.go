// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

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

// counted returns how many packets have passed the counter of the rule in table ip6 lab that has a comment.
func counted(n *node.Node, comment string) (int, error) {
	out, err := n.Output("nft", "list", "table", "ip6", "lab")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		found := counterPackets.FindStringSubmatch(line)
		if found != nil && strings.Contains(line, fmt.Sprintf("comment %q", comment)) {
			return strconv.Atoi(found[1])
		}
	}
	return 0, fmt.Errorf("no rule %q that counts: %s", comment, out)
}

var counterPackets = regexp.MustCompile(`counter packets (\d+)`)
