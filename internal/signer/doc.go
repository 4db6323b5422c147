// SPDX-License-Identifier: MIT

// Package signer keeps private keys in a process of their own: it has nothing else, and whoever takes over one of the daemons finds
// no key there.
//
// The client writes requests and the signer answers, each a JSON object on a line. {} asks for the public keys:
//
//	{"keys":{"default":"MIIB..."}}
//
// and a key with data for a signature:
//
//	{"key":"default","data":"SjBW..."}
//	{"signature":"x3Ab..."}
//
// The answer to a request that failed has an error. Octets are in base64, as package encoding/json has them.
package signer

type request struct {
	Key  string `json:"key,omitempty"` // empty asks for all keys
	Data []byte `json:"data,omitempty"`
}

type answer struct {
	Keys      map[string][]byte `json:"keys,omitempty"` // SubjectPublicKeyInfo by name
	Signature []byte            `json:"signature,omitempty"`
	Error     string            `json:"error,omitempty"`
}

// lineMax is how long a line may be: hundreds of locators, or dozens of keys.
const lineMax = 1 << 16
