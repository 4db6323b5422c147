// SPDX-License-Identifier: MIT

package sim

import "shim6/daemon/engine"

// Tamper makes f change what every engine wants done until the function that it gives is called.
func Tamper(f func(*Host, []engine.Action) []engine.Action) (undo func()) {
	tamper = f
	return func() { tamper = nil }
}
