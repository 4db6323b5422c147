// SPDX-License-Identifier: MIT

// Package configs holds the files that a package installs beside the programs.
package configs

import "embed"

// Files are the shipped configuration files, by name:
//
//	shim6.yaml          /etc/shim6/shim6.yaml
//	cgad.yaml           /etc/shim6/cgad.yaml
//	shim6d.service      /usr/lib/systemd/system/shim6d.service
//	cgad.service        /usr/lib/systemd/system/cgad.service
//	shim6-signer.socket, shim6-signer@.service
//	                    likewise
//	shim6.modules-load  /usr/lib/modules-load.d/shim6.conf
//	shim6.sysusers      /usr/lib/sysusers.d/shim6.conf
//	shim6.tmpfiles      /usr/lib/tmpfiles.d/shim6.conf
//	grafana.json        /usr/share/shim6/grafana.json, a dashboard to import
//
//go:embed shim6.yaml cgad.yaml shim6d.service cgad.service shim6-signer.socket shim6-signer@.service
//go:embed shim6.modules-load shim6.sysusers shim6.tmpfiles grafana.json
var Files embed.FS
