// SPDX-License-Identifier: MIT

package layering

// A row says what a package may import of this module and, where it is pure, that it has no effects. A name that ends in
// "/..." stands for the package and all below it; the first row that fits counts.
type row struct {
	pkg  string
	may  []string
	pure bool
	why  string
}

var table = []row{
	{"daemon/wire", nil, true, "a codec that knows only octets can be fuzzed and trusted alone"},
	{"daemon/reap", []string{"daemon/wire"}, true, "REAP runs in virtual time, beside Shim6 and not above it"},
	{"daemon/shim6", []string{"daemon/wire", "internal/cga"}, true, "contexts run in virtual time, beside REAP and not above it"},
	{"daemon/engine", []string{"daemon/wire", "daemon/shim6", "daemon/reap", "internal/cga"}, true,
		"equal seeds and events must give equal actions, for the simulator and the fuzzer"},
	{"daemon/nl", nil, false, "it carries numbers and addresses, and does not know what they mean"},
	{"daemon/rawsock", nil, false, "octets in, octets out"},
	{"daemon/config", nil, false, "a file is read without the daemon"},
	{"daemon/ctl", []string{"internal/socket"}, false, "a client of the control socket needs nothing of the daemon"},
	{"daemon/metrics", []string{"daemon/ctl"}, false, "it shows what the control interface tells, and nothing else"},
	{"daemon/run", []string{
		"daemon/config", "daemon/ctl", "daemon/engine", "daemon/nl", "daemon/rawsock", "daemon/reap", "daemon/shim6", "daemon/wire",
		"internal/cga", "internal/rtnl",
	}, false, "it joins what must not know of each other"},
	{"daemon/shim6d", []string{
		"daemon/config", "daemon/ctl", "daemon/metrics", "daemon/nl", "daemon/rawsock", "daemon/run", "internal/buildinfo", "internal/cga",
		"internal/advice", "internal/rtnl", "internal/signer", "internal/socket",
	}, false, "it opens what package run is connected to"},
	{"daemon/shim6-signer", []string{"internal/advice", "internal/buildinfo", "internal/cga", "internal/signer"}, false,
		"it has the private keys, so it has as little else as can be"},
	{"daemon/doctor", []string{"daemon/config", "daemon/ctl", "daemon/nl", "internal/cga", "internal/rtnl"}, false,
		"it looks at the host itself: the daemon may be what is wrong"},
	{"daemon/shim6ctl", []string{"daemon/config", "daemon/ctl", "daemon/doctor", "internal/advice", "internal/buildinfo", "internal/usage"}, false,
		"beside its doctor it can do what every client of the control socket can, and nothing more"},
	{"cgad/autoconf", []string{"cgad/ra", "internal/cga"}, true, "address configuration runs in virtual time"},
	{"cgad/...", []string{"cgad/...", "internal/..."}, false, "the address daemon works without the Shim6 daemon"},
	{"cgatool", []string{"internal/advice", "internal/buildinfo", "internal/cga/...", "internal/usage"}, false, "a tool needs no daemon"},
	{"configs", nil, false, "files only"},
	{"internal/cga/...", []string{"internal/cga/..."}, false, "addresses are proved without the Shim6 protocol"},
	{"internal/signer", []string{"internal/cga"}, false, "daemons and the signer share no more than this"},
	{"internal/...", nil, false, "what programs share knows none of them"},
	{"test/steer/...", []string{"daemon/ctl"}, false, "what steers from outside has the client package alone"},
	{"test/sim", []string{"daemon/engine", "daemon/wire", "daemon/shim6", "daemon/reap", "internal/cga"}, false,
		"the simulator has no kernel and no sockets"},
	{"test/bench", []string{"daemon/engine", "daemon/wire", "internal/cga"}, false, "what it measures is the engine alone"},
	{"test/figures/client", []string{"daemon/wire", "internal/cga"}, false, "a peer needs no daemon, and what it sends is right by itself"},
	{"test/figures/initiators", []string{"test/figures/client", "daemon/rawsock"}, false, "a peer needs no daemon"},
	{"test/figures/negotiators", []string{"daemon/engine", "daemon/nl", "daemon/rawsock", "internal/cga"}, false, "what it measures is the engine with a socket and the kernel"},
	{"test/figures/fig7", []string{"test/figures/...", "test/lab/report", "internal/cga"}, false, "the lab sees binaries; the hosts' keys are made outside"},
	{"test/figures/fig10", []string{"test/figures/...", "test/lab/report", "internal/cga"}, false, "the lab sees binaries; the clients' keys are made outside"},
	{"test/figures/fig6", []string{"test/figures/...", "internal/cga/..."}, false, "what it measures is the search"},
	{"test/...", []string{"test/..."}, false, "the lab sees binaries, their output and packets, as users do"},
}

// effects are what a pure package may not import, with the reason.
var effects = map[string]string{
	"os":            "files, processes and the environment",
	"os/exec":       "processes",
	"os/signal":     "signals",
	"io/ioutil":     "files",
	"net":           "sockets and names; net/netip has the addresses",
	"net/http":      "sockets",
	"syscall":       "system calls",
	"log":           "output",
	"log/slog":      "output",
	"crypto/rand":   "randomness that is not the caller's",
	"runtime":       "what differs between runs",
	"sync":          "a pure package has no second goroutine",
	"sync/atomic":   "a pure package has no second goroutine",
	"context":       "a pure package waits for nothing",
	"testing":       "it is for tests",
	"unsafe":        "memory safety",
	"path/filepath": "files",
}

// clocks are the functions of package time that read a clock or wait.
var clocks = map[string]bool{
	"Now": true, "After": true, "Since": true, "Until": true, "Sleep": true, "Tick": true, "NewTicker": true, "NewTimer": true,
	"AfterFunc": true,
}

// makers are the functions of math/rand and math/rand/v2 that use no generator of the process.
var makers = map[string]bool{
	"New": true, "NewSource": true, "NewPCG": true, "NewChaCha8": true, "NewZipf": true,
	"Rand": true, "Source": true, "Source64": true, "PCG": true, "ChaCha8": true, "Zipf": true,
}
