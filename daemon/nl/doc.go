// SPDX-License-Identifier: MIT

// Package nl is the client of the shim6 kernel module: the generic netlink family that kmod/uapi/linux/shim6.h describes.
// It carries plain numbers and addresses; what they mean to the protocol is the caller's business.
package nl
