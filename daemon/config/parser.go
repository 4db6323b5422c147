// SPDX-License-Identifier: MIT

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// errorsMax bounds how many mistakes of one file are told.
const errorsMax = 20

// syntaxLine finds the line in an error of the YAML library.
var syntaxLine = regexp.MustCompile(`^ line (\d+): `)

// A parser collects what is wrong in one file.
type parser struct {
	name string
	errs []error
}

func (p *parser) fail(n *yaml.Node, key, format string, args ...any) {
	if len(p.errs) >= errorsMax {
		return
	}
	msg := fmt.Sprintf(format, args...)
	if key != "" {
		msg = key + ": " + msg
	}
	p.errs = append(p.errs, fmt.Errorf("%s:%d: %s", p.name, n.Line, msg))
}

// document reads the one YAML document in b, and gives nil where there is none.
func (p *parser) document(b []byte) *yaml.Node {
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc, more yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		msg := strings.TrimPrefix(err.Error(), "yaml: ")
		p.errs = append(p.errs, fmt.Errorf("%s:%s", p.name, syntaxLine.ReplaceAllString(" "+msg, "$1: ")))
		return nil
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		p.errs = append(p.errs, fmt.Errorf("%s: more than one YAML document", p.name))
		return nil
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	return root
}

// isServer tells whether a document says so: that changes what holds for the keys that it lacks.
func isServer(root *yaml.Node) bool {
	if root.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		var v bool
		if root.Content[i].Value == "server" && boolean(&v)(root.Content[i+1]) == nil {
			return v
		}
	}
	return false
}

func (p *parser) mapping(n *yaml.Node, prefix string, keys map[string]key) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, strings.TrimSuffix(prefix, "."), "keys with values are needed, not a %s", kindName(n))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := prefix + k.Value
		if line := seen[k.Value]; line != 0 {
			p.fail(k, name, "was given on line %d already", line)
			continue
		}
		seen[k.Value] = k.Line
		known, ok := keys[k.Value]
		switch {
		case !ok || k.Kind != yaml.ScalarNode:
			p.unknown(k, prefix, keys)
		case known.keys != nil:
			p.mapping(v, name+".", known.keys)
		case known.each != nil:
			p.entries(v, name, known)
		default:
			if err := known.set(v); err != nil {
				p.fail(v, name, "%v", err)
			}
		}
	}
}

// entries reads a mapping with names of the user's choice.
func (p *parser) entries(n *yaml.Node, name string, of key) {
	switch {
	case n.Kind != yaml.MappingNode:
		p.fail(n, name, "entries such as %s are needed, not a %s", of.example, kindName(n))
		return
	case len(n.Content)/2 > entriesMax:
		p.fail(n, name, "%d entries, at most %d", len(n.Content)/2, entriesMax)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			p.fail(k, name, "a %s cannot be a key", kindName(k))
			continue
		}
		keys, err := of.each(k.Value)
		if err != nil {
			p.fail(k, name, "%v", err)
			continue
		}
		p.mapping(v, name+"."+k.Value+".", keys)
	}
}

func (p *parser) unknown(k *yaml.Node, prefix string, keys map[string]key) {
	if k.Kind != yaml.ScalarNode {
		p.fail(k, strings.TrimSuffix(prefix, "."), "a %s cannot be a key", kindName(k))
		return
	}
	hint := ""
	if near := nearest(k.Value, keys); near != "" {
		hint = fmt.Sprintf(", did you mean %q?", prefix+near)
	}
	p.fail(k, "", "unknown key %q%s", prefix+k.Value, hint)
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	case yaml.AliasNode:
		return "YAML alias"
	default:
		return "single value"
	}
}

// nearest returns the key that takes the fewest edits to reach from name, if they are few for its length.
func nearest(name string, keys map[string]key) string {
	best, least := "", len(name)/2+1
	for k := range keys {
		if d := distance(name, k); d < least || d == least && best != "" && k < best {
			best, least = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b; of long texts only the start is compared.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
