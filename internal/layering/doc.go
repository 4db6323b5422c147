// SPDX-License-Identifier: MIT

// Package layering holds the table of which package may import which, as a test.
package layering
