// SPDX-License-Identifier: MIT

package ctl

import "sync"

// Places are what users share, so that none of them keeps the others out: everybody but root has a quarter of them, and all these
// together three quarters. The zero value is ready, and safe for concurrent use.
type places struct {
	mu     sync.Mutex
	taken  map[uint32]int // by user
	all    int
	others int // of users that are not root
}

const root = 0

// take takes one place of so many for a user, and returns whether there was one.
func (p *places) take(uid uint32, of int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.all >= of:
		return false
	case uid == root:
	case p.taken[uid] >= quarter(of) || p.others >= of-quarter(of):
		return false
	default:
		p.others++
	}
	if p.taken == nil {
		p.taken = make(map[uint32]int)
	}
	p.taken[uid]++
	p.all++
	return true
}

// free gives back a place that the user took.
func (p *places) free(uid uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if uid != root {
		p.others--
	}
	if p.taken[uid]--; p.taken[uid] == 0 {
		delete(p.taken, uid)
	}
}

func quarter(n int) int { return n / 4 }
