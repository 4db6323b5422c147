// SPDX-License-Identifier: MIT

// Command shim6-signer has the private keys of a host and signs with them what Shim6 signs, for the one client at its standard input
// and output.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"shim6/internal/advice"
	"shim6/internal/buildinfo"
	"shim6/internal/cga"
	"shim6/internal/signer"
)

const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2 // the command line is wrong
)

const usage = `Usage: shim6-signer [--keys DIRECTORY]

shim6-signer signs for shim6d, so that no other program has private keys. It
serves the one client at its standard input and output; systemd starts one for
each connection to shim6-signer.socket.

  --keys DIRECTORY  use the NAME.pem in DIRECTORY instead of the credentials
                    that systemd gave it
  --version         print the version
  --help            print this
`

// A program is one run of shim6-signer.
type program struct {
	in          io.Reader
	out, stderr io.Writer
	credentials string // folder of systemd's credentials, empty for none
}

func main() {
	p := &program{in: os.Stdin, out: os.Stdout, stderr: os.Stderr, credentials: os.Getenv("CREDENTIALS_DIRECTORY")}
	os.Exit(p.run(os.Args[1:]))
}

func (p *program) run(args []string) int {
	flags := flag.NewFlagSet("shim6-signer", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := flags.String("keys", "", "")
	version := flags.Bool("version", false, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.out, usage)
		return exitOK
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if err != nil {
		return p.fail(exitUsage, err, "shim6-signer --help tells the options")
	}
	if *version {
		fmt.Fprintln(p.out, "shim6-signer", buildinfo.Version())
		return exitOK
	}
	prefix := ""
	if *dir == "" {
		if p.credentials == "" {
			return p.fail(exitUsage, errors.New("there are no credentials of systemd"), "name a folder with --keys")
		}
		// What LoadCredential=keys: of the unit calls a file.
		*dir, prefix = p.credentials, "keys_"
	}
	keys, err := cga.LoadKeys(*dir)
	if serveErr := signer.Serve(p.in, p.out, signer.Named(keys, prefix), err); serveErr != nil {
		return p.fail(exitFail, serveErr, "shim6-signer(8) tells what a client may send")
	}
	// The client was told, too; this is for who reads the journal.
	if err != nil && len(keys) == 0 {
		return p.fail(exitFail, err, cmp.Or(advice.For(err), "make a key: cgad init, or cgatool keygen --help"))
	}
	return exitOK
}

func (p *program) fail(code int, err error, hint string) int {
	fmt.Fprintf(p.stderr, "shim6-signer: error: %v\n", err)
	if hint != "" {
		fmt.Fprintf(p.stderr, "hint: %s\n", hint)
	}
	return code
}
