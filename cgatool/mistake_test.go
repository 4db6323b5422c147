// SPDX-License-Identifier: MIT

package main

import (
	"path/filepath"
	"testing"

	"shim6/internal/cga"
	"shim6/internal/clitest"
)

func TestMistakes(t *testing.T) {
	p := clitest.New(t, "cgatool")
	p.File(t, "junk", "junk\n", 0o644)
	p.File(t, "open.pem", "junk\n", 0o644)
	p.File(t, "closed.pem", "junk\n", 0o000)
	p.Folder(t, "closed", 0o555)
	p.Folder(t, "secret", 0o000)
	key, err := cga.NewKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	if err := cga.WriteKey(filepath.Join(p.Dir, "good.pem"), key); err != nil {
		t.Fatal(err)
	}
	const (
		help    = `^cgatool --help tells the commands, cgatool COMMAND --help their flags$`
		name    = `^check the name`
		root    = `^run it as root, or as a user who may`
		mkdir   = `^make the directory first`
		place   = `^name a directory that you may write to$`
		in      = `^name a file in a directory$`
		params  = `^a parameter file is what cgatool generate writes`
		makeKey = `^cgatool keygen makes a key`
		search  = "generate --sec 0 --prefix fe80:: "
	)
	p.Try(t, []clitest.Mistake{
		{Args: "genrate", Status: 2, Error: `^unknown command "genrate" for "cgatool"; did you mean generate\?$`, Hint: help},
		{Args: "--frob", Status: 2, Error: `^unknown flag: --frob$`, Hint: help},
		{Args: "show --frob", Status: 2, Error: `^unknown flag: --frob$`, Hint: `^usage: cgatool show \[flags\]; cgatool show --help tells more$`},
		{Args: "show more --params junk", Status: 2, Error: `unknown command "more"`, Hint: `^usage: cgatool show `},
		{Args: "keygen", Status: 2, Error: `^--out is missing$`, Hint: `^usage: cgatool keygen `},
		{Args: "keygen --out x --bits many", Status: 2, Error: `^--bits cannot be "many"$`, Hint: `^usage: cgatool keygen `},
		{Args: "-g -p fe80::", Status: 2, Error: `^give one of -k and -D$`, Hint: `cgatool\(1\) has the options of LinShim6$`},

		{Nobody: true, Args: "keygen --out closed/x.pem", Status: 1, Error: `^write to closed: permission denied$`, Hint: place},
		{Nobody: true, Args: "keygen --out secret/x.pem", Status: 1, Error: `^write to secret: permission denied$`, Hint: place},
		{Nobody: true, Args: "keygen --out secret/x/y.pem", Status: 1, Error: `secret/x: permission denied$`, Hint: place},
		{Args: "keygen --out none/x.pem", Status: 1, Error: `none: no such file or directory$`, Hint: mkdir},
		{Args: "keygen --out junk/x.pem", Status: 1, Error: `^junk is not a directory$`, Hint: in},
		{Args: "keygen --out closed", Status: 1, Error: `^closed exists and is not overwritten$`, Hint: `^choose another name`},
		{Args: "keygen --bits 1024 --out /proc/x.pem", Status: 1, Error: `/proc/?(x.pem)?: (no such file or directory|permission denied)$`, Hint: name + "|" + place},

		{Nobody: true, Args: search + "--hba --out closed", Status: 1, Error: `^write to closed: permission denied$`, Hint: place},
		{Nobody: true, Args: search + "--hba --bundle closed/x.tar", Status: 1, Error: `^write to closed: permission denied$`, Hint: place},
		{Nobody: true, Args: search + "--hba --checkpoint closed/c --out /dev/shm", Status: 1, Error: `^checkpoint: open closed/c.lock: permission denied$`, Hint: place},
		{Args: search + "--hba --checkpoint none/c", Status: 1, Error: `^checkpoint: open none/c.lock: no such file or directory$`, Hint: mkdir},
		{Args: search + "--key good.pem --checkpoint junk", Status: 1, Error: `^junk: no checkpoint, at octet 1 `, Hint: `^without the file the search starts anew$`},
		{Args: search + "--key none.pem", Status: 1, Error: `^open none.pem: no such file or directory$`, Hint: name},
		{Args: search + "--key closed", Status: 1, Error: `^read closed: is a directory$`, Hint: `^name a file, not a directory$`},
		{Args: search + "--key open.pem", Status: 1, Error: `^open.pem: mode 0644 lets others reach the private key, run chmod 600 on it$`, Hint: makeKey},
		{Nobody: true, Args: search + "--key closed.pem --out /dev/shm", Status: 1, Error: `^open closed.pem: permission denied$`, Hint: root},
		{Args: search + "--cert none.pem", Status: 1, Error: `^open none.pem: no such file or directory$`, Hint: name},
		{Args: search + "--cert junk", Status: 1, Error: `^junk: no PEM certificate or public key in the file$`, Hint: makeKey},
		{Args: search + "--pds-in none", Status: 1, Error: `^open none: no such file or directory$`, Hint: name},
		{Args: search + "--pds-in junk", Status: 1, Error: `^junk: cga parameters: octet 5: `, Hint: params},

		{Args: "show --params none", Status: 1, Error: `^open none: no such file or directory$`, Hint: name},
		{Args: "show --params closed", Status: 1, Error: `^read closed: is a directory$`, Hint: `^name a file, not a directory$`},
		{Args: "show --params junk", Status: 1, Error: `^junk: cga parameters: octet 5: `, Hint: params},
		{Args: "show --params junk/x", Status: 1, Error: `^open junk/x: not a directory$`, Hint: `^a part of the name is a file`},
		{Nobody: true, Args: "show --params secret/x.pds", Status: 1, Error: `^open secret/x.pds: permission denied$`, Hint: root},
		{Args: "verify --address fe80::1 --params none", Status: 1, Error: `^open none: no such file or directory$`, Hint: name},
		{Args: "-v -a fe80::1 -D none", Status: 1, Error: `^open none: no such file or directory$`, Hint: name},
	})
}
