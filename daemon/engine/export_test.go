// SPDX-License-Identifier: MIT

package engine

import "math/rand/v2"

// SetRandom makes an Engine draw its numbers from src.
func (e *Engine) SetRandom(src rand.Source) { e.rng = rand.New(src) }
