// SPDX-License-Identifier: MIT

package search

import (
	"errors"
	"fmt"
	"strings"
)

// Generic is the engine of every machine, the standard library's SHA-1 one candidate at a time.
const Generic = "generic"

// ErrEngine is what an engine that this machine or this package lacks gives, or one that cannot search a field.
var ErrEngine = errors.New("no such search engine")

// An EngineError tells that an engine reported a candidate that crypto/sha1 refused: the machine or the engine is broken.
type EngineError struct {
	Engine   string
	Distance uint64
}

func (e *EngineError) Error() string {
	return fmt.Sprintf("engine %s reported candidate %d, which SHA-1 does not confirm", e.Engine, e.Distance)
}

// An engine makes scanners.
type engine struct {
	name    string
	largest uint             // logarithm of the largest unit: about two milliseconds
	can     func(*plan) bool // whether it has a kernel for the word
	scanner func(*plan) scanner
}

// engines are those that run here, the fastest first. The generic one is the last.
var engines = append(native(), &engine{name: Generic, largest: 11, can: func(*plan) bool { return true }, scanner: newStdScanner})

// Engines gives the names of the engines that this machine and its operating system can run, the fastest first.
func Engines() []string {
	var names []string
	for _, e := range engines {
		names = append(names, e.name)
	}
	return names
}

// choose gives the engine of a name, or the fastest for p when name is empty.
func choose(name string, p *plan) (*engine, error) {
	for _, e := range engines {
		if name != "" && name != e.name {
			continue
		}
		if e.can(p) {
			return e, nil
		}
		if name != "" {
			return nil, fmt.Errorf("%w: %s cannot vary word %d of a block", ErrEngine, name, p.word)
		}
	}
	return nil, fmt.Errorf("%w: %s, this machine has %s", ErrEngine, name, strings.Join(Engines(), ", "))
}

// unit gives the logarithm of the number of candidates that a worker takes at a time: about a thirtieth of those that the
// search needs, so that workers end together.
func (e *engine) unit(p *plan) uint {
	return min(max(uint(p.Zeros)-min(uint(p.Zeros), 5), 8), e.largest, p.width)
}
