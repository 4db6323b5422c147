// SPDX-License-Identifier: MIT

package config

import (
	"reflect"
	"slices"
)

// restart names the keys whose change waits for the next start of the daemon: contexts outlive that.
var restart = []string{"log.format", "metrics", "socket", "socket_group", "state"}

// Difference names the keys whose values are others in d, those that can be applied and those that wait for a restart.
func (c *Config) Difference(d *Config) (apply, wait []string) {
	a, b := c.values(), d.values()
	for _, name := range KeyNames() {
		switch {
		case reflect.DeepEqual(a[name], b[name]):
		case slices.Contains(restart, name):
			wait = append(wait, name)
		default:
			apply = append(apply, name)
		}
	}
	return apply, wait
}

// values gives the values of all keys by name.
func (c *Config) values() map[string]any {
	return map[string]any{
		"server": c.Server, "keys": c.Keys, "socket": c.Socket, "socket_group": c.SocketGroup, "state": c.StateFile(),
		"send_timeout": c.SendTimeout, "teardown": c.Teardown, "fail_back": c.FailBack,
		"hints.link": c.Hints.Link, "hints.route": c.Hints.Route, "hints.icmp": c.Hints.ICMP,
		"hints.rto": c.Hints.RTO,
		"heuristic": c.Heuristic, "tcp_kick": c.TCPKick, "gso": c.GSO, "gso_devices": c.GSODevices, "mark_mask": c.MarkMask,
		"interfaces": c.Interfaces, "preferences": c.Preferences, "peers": c.Peers, "metrics": c.Metrics,
		"log.level": c.Log.Level, "log.format": c.Log.Format,
		"limits.contexts": c.Limits.Contexts, "limits.verifying": c.Limits.Verifying, "limits.waiting": c.Limits.Waiting,
		"limits.r1_rate": c.Limits.R1Rate, "limits.verify_rate": c.Limits.VerifyRate,
		"limits.recovery_rate": c.Limits.RecoveryRate, "limits.error_rate": c.Limits.ErrorRate,
	}
}
