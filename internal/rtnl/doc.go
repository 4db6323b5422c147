// SPDX-License-Identifier: MIT

// Package rtnl lists the IPv6 addresses of the network namespace and tells when they, or the links below them, change.
package rtnl
