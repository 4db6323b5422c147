// SPDX-License-Identifier: MIT

// Package cga holds what proves that an IPv6 address belongs to a key or to a set of prefixes: cryptographically
// generated addresses (RFC 3972, extensions of RFC 4581, Sec values of RFC 4982), hash based addresses (RFC 5535), the
// Shim6 signatures made with their keys (RFC 5533 section 5.15), and the files they are kept in.
package cga
