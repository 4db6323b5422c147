// SPDX-License-Identifier: MIT

package run

import (
	"net/netip"

	"shim6/daemon/nl"
	"shim6/daemon/rawsock"
	"shim6/internal/cga"
	"shim6/internal/rtnl"
)

// A Kernel is the client of the kernel module: *nl.Client.
type Kernel interface {
	NewContext(nl.Context) error
	SetContext(nl.Context) error
	DeleteContext(tagLocal uint64) error
	Flush() error
	SetReap(nl.Reap) error
	Contexts() ([]nl.Context, error)
	Candidates() ([]nl.Candidate, error)
	SetSettings(nl.Settings) error
	Settings() (nl.Settings, error)
	Stats() (nl.Stats, error)
	Devices() ([]nl.Device, error)
	Stack() ([]nl.Heuristic, error)
	SetParam(heuristic, param string, value uint64) error
	Loaded() error
}

// KernelEvents are the events of the kernel module: *nl.Subscription.
type KernelEvents interface {
	Next() (nl.Event, error)
	Close() error
}

// A Socket carries Shim6 control messages: *rawsock.Conn.
type Socket interface {
	ReadFrom(buf []byte) (n int, src, dst netip.Addr, hopLimit uint8, err error)
	WriteTo(b []byte, src, dst netip.Addr) error
	Close() error
}

// Errors are the ICMPv6 errors that say that a host does not know Shim6: *rawsock.ErrorConn.
type Errors interface {
	Read(buf []byte) (rawsock.Error, error)
	// Want tells whether errors about hosts that cannot be reached are wanted.
	Want(unreachable bool) error
	Close() error
}

// Keys prove local addresses and sign for them: *cga.Store.
type Keys interface {
	ParamsFor(addr netip.Addr) (p *cga.Params, keyID string, ok bool)
	Key(keyID string) cga.Signer // nil when there is none
}

// Ports are what a Loop is connected to.
type Ports struct {
	Kernel    Kernel
	Events    KernelEvents
	Socket    Socket
	Errors    Errors
	Addresses func() ([]rtnl.Address, error)          // rtnl.List
	Reaches   func(src, dst netip.Addr) (bool, error) // rtnl.Reaches
	// KeepSources is rtnl.KeepSources.
	KeepSources func(gone, cutOff []netip.Addr, link int) error
	Changes     <-chan struct{}                                         // rtnl.Watch
	Route       func(src, dst netip.Addr) (rtnl.Route, bool, error)     // rtnl.RouteTo
	Sockets     func(dst netip.Addr, port uint16) ([]netip.Addr, error) // rtnl.Sources
	Connections func() (map[rtnl.AddressPair]bool, error)               // rtnl.Connections
	Room        func() int                                              // Room
	LoadKeys    func(dir string) (Keys, error)                          // what is usable comes even with an error
}
