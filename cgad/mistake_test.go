// SPDX-License-Identifier: MIT

package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"shim6/internal/clitest"
)

func TestMistakes(t *testing.T) {
	p := clitest.New(t, "cgad")
	p.File(t, "junk", "junk\n", 0o644)
	p.File(t, "bad.yaml", "intrefaces: [eth0]\n", 0o644)
	p.File(t, "closed.yaml", "", 0o000)
	p.File(t, "signed.yaml", "keys: "+filepath.Join(p.Dir, "readable")+"\n", 0o644)
	p.Folder(t, "readable", 0o755)
	p.Folder(t, "closed", 0o555)
	p.Folder(t, "secret", 0o000)
	l, err := net.Listen("unix", filepath.Join(p.Dir, "other.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(filepath.Join(p.Dir, "other.sock"), 0o000); err != nil {
		t.Fatal(err)
	}
	const (
		help   = `^cgad --help tells the commands, cgad COMMAND --help their flags$`
		name   = `^check the name`
		root   = `^run it as root, or as a user who may`
		keys   = `^cgad.yaml\(5\) has every key; check a change with: cgad --check$`
		bundle = `^a bundle is what cgatool generate --bundle FILE writes`
		start  = `^start it: systemctl start cgad; or name its socket: --socket PATH$`
		old    = `^the file is a params.conf or a cgad.conf of LinShim6`
	)
	p.Try(t, []clitest.Mistake{
		{Args: "statsu", Status: 2, Error: `^unknown command "statsu" for "cgad"; did you mean status\?$`, Hint: help},
		{Args: "--frob", Status: 2, Error: `^unknown flag: --frob$`, Hint: help},
		{Args: "status more", Status: 2, Error: `unknown command "more"`, Hint: `^usage: cgad status \[flags\]; cgad status --help tells more$`},
		{Args: "import", Status: 2, Error: `^accepts 1 arg\(s\), received 0$`, Hint: `^usage: cgad import {BUNDLE \| --linshim6 FILE}`},
		{Args: "init --keys", Status: 2, Error: `^flag needs an argument: --keys$`, Hint: `^usage: cgad init `},

		{Nobody: true, Args: "run", Status: 1, Error: `^open the ICMPv6 socket: .*operation not permitted$`, Hint: `^cgad needs root, or CAP_NET_ADMIN and CAP_NET_RAW`},
		{Args: "--check --config none.yaml", Status: 1, Error: `^open none.yaml: no such file or directory$`, Hint: `^name a file that exists; without --config it is /etc/shim6/cgad.yaml`},
		{Args: "--check --config bad.yaml", Status: 1, Error: `^bad.yaml: line 1: unknown key "intrefaces"`, Hint: keys},
		{Args: "--check --config closed", Status: 1, Error: `closed: is a directory$`, Hint: `^name a file, not a directory$`},
		{Nobody: true, Args: "--check --config closed.yaml", Status: 1, Error: `^open closed.yaml: permission denied$`, Hint: root},
		{Args: "--check --config signed.yaml --signer none.sock", Status: 1, Error: `^signer none.sock: `, Hint: `^is it there, and may this user ask it\?`},

		{Args: "status --socket none.sock", Status: 1, Error: `^cgad is not running: nobody listens on none.sock$`, Hint: start},
		{Args: "status --socket junk", Status: 1, Error: `^cgad is not running: nobody listens on junk$`, Hint: start},
		{Args: "reload --socket none.sock", Status: 1, Error: `^cgad is not running: nobody listens on none.sock$`, Hint: start},
		{Nobody: true, Args: "status --socket secret/s", Status: 1, Error: `^permission denied on secret/s$`, Hint: `^only root may ask cgad$`},
		{Nobody: true, Args: "reload --socket other.sock", Status: 1, Error: `^permission denied on other.sock$`, Hint: `^only root may ask cgad$`},

		{Nobody: true, Args: "init --keys closed", Status: 1, Error: `^create closed/default.pem: permission denied$`, Hint: root},
		{Nobody: true, Args: "init --keys secret", Status: 1, Error: `secret: permission denied$`, Hint: root},
		{Nobody: true, Args: "init --keys closed/keys", Status: 1, Error: `^mkdir closed/keys: permission denied$`, Hint: root},
		{Args: "init --keys junk", Status: 1, Error: `junk: not a directory$`, Hint: `^a part of the name is a file`},
		{Args: "import none.tar", Status: 1, Error: `^open none.tar: no such file or directory$`, Hint: name},
		{Args: "import junk --keys keys", Status: 1, Error: `^junk: bad bundle: `, Hint: bundle},
		{Args: "import closed --keys keys", Status: 1, Error: `^closed: bad bundle: .*is a directory$`, Hint: bundle},
		{Nobody: true, Args: "import closed.yaml", Status: 1, Error: `^open closed.yaml: permission denied$`, Hint: root},
		{Args: "import --linshim6 none", Status: 1, Error: `^open none: no such file or directory$`, Hint: name},
		{Args: "import --linshim6 junk --keys keys", Status: 1, Error: `^junk: params.conf: "junk" is none of `, Hint: old},
		{Args: "import --linshim6 closed --keys keys", Status: 1, Error: `^read closed: is a directory$`, Hint: `^name a file, not a directory$`},
	})
}
