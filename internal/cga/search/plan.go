// SPDX-License-Identifier: MIT

package search

import "encoding/binary"

// A plan is a job laid out in blocks.
type plan struct {
	Job
	block int  // the block that holds the end of the field
	word  int  // the word of that block which holds the end of the field
	shift uint // bits of that word behind the field
	width uint // bits of the field in that word, with those of the modifier that belong to it
	tail  int  // blocks behind that one
}

func newPlan(j Job) *plan {
	last := j.Field.Offset + j.Field.Len - 1
	octet := last % 4
	return &plan{
		Job:   j,
		block: last / blockSize,
		word:  last % blockSize / 4,
		shift: uint(8 * (3 - octet)),
		width: uint(8*(octet+1) + j.spread()),
		tail:  (len(j.Input)+8)/blockSize - last/blockSize,
	}
}

// compressions is what one candidate costs where the blocks before that of the word are fixed.
func (p *plan) compressions() int { return 1 + p.tail }

// chunk is how many steps a scanner makes between two looks at stop: some hundred microseconds.
func (p *plan) chunk() uint64 { return uint64(max(1, 1024/(p.block+1+p.tail))) }

// fixed tells whether no block before that of the word ever changes.
func (p *plan) fixed() bool { return p.Field.Offset >= p.block*blockSize }

// lead is the low bits of the start: how far it is from the beginning of its unit.
func (p *plan) lead(unit uint) uint64 {
	i := p.block*blockSize + 4*p.word
	low := uint64(binary.BigEndian.Uint32(pad(p.Input)[i:]) >> p.shift)
	if p.spread() > 0 {
		low = low<<2 | uint64(p.Input[modifierSize-1]&3)
	}
	return low & (1<<unit - 1)
}

// A scanner tries candidates. Each worker has its own.
type scanner interface {
	// scan tries 2^unit candidates, from message on, the padded input, whose count has that many zero bits at its end; that
	// is 8 to the width of the plan. It may write to the counted octets. emit is told, in any order, the number of each
	// candidate whose first word has no bit of the mask of the job. scan asks stop every millisecond or less whether to give
	// up, and is false when it did.
	scan(message []byte, unit uint, stop func() bool, emit func(uint32)) bool
}

// A unitScanner tries numbered units of a plan: number n holds the candidates with distances n<<unit-lead and on.
type unitScanner struct {
	*plan
	scanner
	engine  string
	unit    uint
	before  uint64 // lead of the start
	base    []byte // padded input at the beginning of unit 0
	message []byte
}

func newUnitScanner(p *plan, e *engine, unit uint) *unitScanner {
	s := &unitScanner{plan: p, scanner: e.scanner(p), engine: e.name, unit: unit, before: p.lead(unit), base: pad(p.Input)}
	i := p.block*blockSize + 4*p.word
	w := binary.BigEndian.Uint32(s.base[i:])
	binary.BigEndian.PutUint32(s.base[i:], w-uint32(s.before>>p.spread())<<p.shift)
	if p.spread() > 0 {
		s.base[modifierSize-1] &^= 3
	}
	s.message = append([]byte(nil), s.base...)
	return s
}

// units gives the range of unit numbers that hold distances from to before limit.
func (s *unitScanner) units(from, limit uint64) (first, end uint64) {
	return (s.before + from) >> s.unit, (s.before + limit + 1<<s.unit - 1) >> s.unit
}

// span gives the distances of unit n that are in from to before limit.
func (s *unitScanner) span(n, from, limit uint64) (first, end uint64) {
	clip := func(x uint64) uint64 { return min(max(x, s.before+from), s.before+limit) - s.before }
	return clip(n << s.unit), clip((n + 1) << s.unit)
}

// find tries unit n and tells visit the distances in from to before limit of the candidates that crypto/sha1 confirms. It
// is false when stop ended it.
func (s *unitScanner) find(n, from, limit uint64, stop func() bool, visit func(distance uint64)) (bool, error) {
	copy(s.message, s.base)
	s.count(s.message, n<<s.unit)
	var wrong error
	done := s.scan(s.message, s.unit, stop, func(i uint32) {
		at := n<<s.unit + uint64(i)
		if at < s.before+from || at >= s.before+limit {
			return
		}
		d := at - s.before
		switch in := s.candidate(d); {
		case s.good(in):
			visit(d)
		case s.Zeros <= 32:
			wrong = &EngineError{Engine: s.engine, Distance: d}
		}
	})
	return done, wrong
}
