// SPDX-License-Identifier: MIT

package signer

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"shim6/internal/cga"
)

// Serve answers requests until in ends. The keys do not change meanwhile; loadErr is told with them.
func Serve(in io.Reader, out io.Writer, keys map[string]cga.Signer, loadErr error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, lineMax)
	for lines.Scan() {
		raw, err := json.Marshal(reply(lines.Bytes(), keys, loadErr))
		if err != nil {
			return err
		}
		if _, err := out.Write(append(raw, '\n')); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return nil
}

func reply(line []byte, keys map[string]cga.Signer, loadErr error) answer {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return answer{Error: "request: " + err.Error()}
	}
	if r.Key == "" {
		a := answer{Keys: make(map[string][]byte)}
		for name, k := range keys {
			a.Keys[name] = k.PublicKey()
		}
		if loadErr != nil {
			a.Error = loadErr.Error()
		}
		return a
	}
	sig, err := sign(keys[r.Key], r)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Signature: sig}
}

func sign(key cga.Signer, r request) ([]byte, error) {
	switch {
	case key == nil:
		return nil, fmt.Errorf("there is no key %q", r.Key)
	case !cga.IsSignedData(r.Data):
		return nil, errors.New("that is nothing that Shim6 signs (RFC 5533 section 5.15.5)")
	}
	return key.Sign(r.Data)
}

// Named gives the keys whose names begin with a prefix, by what follows it.
func Named(keys map[string]cga.Signer, prefix string) map[string]cga.Signer {
	named := make(map[string]cga.Signer)
	for name, k := range keys {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			named[rest] = k
		}
	}
	return named
}
