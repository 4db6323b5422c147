// SPDX-License-Identifier: MIT

package fuzzer

import "math/rand/v2"

// A Corpus is the inputs that are mutated: the seeds and what ran through something new.
type Corpus struct {
	r      *rand.Rand
	m      *Mutator
	byKind [kinds][]Input
	Size   int
}

// share of each kind of input in percent.
var share = [kinds]int{Frame: 30, Offloaded: 15, Merged: 15, Raw: 15, Datagram: 5, Request: 20}

// NewCorpus starts with the seeds, of which there is one of each kind at least.
func NewCorpus(r *rand.Rand, family uint16, seeds []Input) *Corpus {
	c := &Corpus{r: r, m: &Mutator{r, family}}
	for _, s := range seeds {
		c.Add(s)
	}
	return c
}

// Add keeps an input.
func (c *Corpus) Add(in Input) {
	c.byKind[in.Kind] = append(c.byKind[in.Kind], in.clone())
	c.Size++
}

// Next returns a new input of any kind.
func (c *Corpus) Next() Input { return c.next(100) }

// NextPacket returns one that is no request.
func (c *Corpus) NextPacket() Input { return c.next(100 - share[Request]) }

func (c *Corpus) next(percent int) Input {
	kind, left := Kind(0), c.r.IntN(percent)
	for left >= share[kind] {
		left -= share[kind]
		kind++
	}
	return c.Of(kind)
}

// Of returns a new input of a kind. The later half of what was kept is taken more often: it leads to where few have been.
func (c *Corpus) Of(kind Kind) Input {
	list := c.byKind[kind]
	i := c.r.IntN(len(list))
	if c.r.IntN(3) == 0 {
		i = len(list) - 1 - c.r.IntN((len(list)+1)/2)
	}
	return c.m.Mutate(list[i], list[c.r.IntN(len(list))])
}
