// SPDX-License-Identifier: MIT

// Package autoconf decides which addresses, rules and routes a host with several providers has: CGAs and HBAs in the
// prefixes that routers advertise (RFC 4862 section 5.5.3, RFC 3972, RFC 5535), and for each prefix a table with the
// routers that advertised it (RFC 8028). Events go in and actions come out; it reads no clock, socket or global.
package autoconf
