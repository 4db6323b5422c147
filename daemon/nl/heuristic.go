// SPDX-License-Identifier: MIT

package nl

import (
	"fmt"

	"github.com/mdlayher/netlink"
)

// A Heuristic is one that the network namespace uses, and what it has decided since it was chosen.
type Heuristic struct {
	Name     string
	Refusals uint64 // packets whose flow it did not want followed
	Triggers uint64 // it was the first that wanted a context
	Vetoes   uint64 // it was the first that forbade one
	Params   []Param
}

// A Param is a number that a heuristic can be told.
type Param struct {
	Name                     string
	Value, Initial, Min, Max uint64 // only Value is sent
}

// Stack reads the heuristics in use, in the order in which they are asked.
func (c *Client) Stack() ([]Heuristic, error) {
	return one(c, "read heuristics", cmdHeurGet, new(message), func(m *message) ([]Heuristic, error) {
		return m.stack, m.need(attrStack)
	})
}

// SetParam sets a parameter of a heuristic that is in use.
func (c *Client) SetParam(heuristic, param string, value uint64) error {
	m := &message{str: heuristic, param: Param{Name: param, Value: value}}
	m.mark(attrHeuristic)
	m.mark(attrParam)
	return c.do(fmt.Sprintf("set %s.%s to %d", heuristic, param, value), cmdHeurSet, m)
}

func (h *Heuristic) marshal(ae *netlink.AttributeEncoder) error {
	if err := putName(ae, useAttrName, h.Name, heuristicNameMax); err != nil {
		return err
	}
	ae.Uint64(useAttrRefusals, h.Refusals)
	ae.Uint64(useAttrTriggers, h.Triggers)
	ae.Uint64(useAttrVetoes, h.Vetoes)
	for _, p := range h.Params {
		ae.Nested(useAttrParam, func(pe *netlink.AttributeEncoder) error {
			err := p.marshal(pe)
			pe.Uint64(paramAttrInitial, p.Initial)
			pe.Uint64(paramAttrMin, p.Min)
			pe.Uint64(paramAttrMaxValue, p.Max)
			return err
		})
	}
	return nil
}

func (p *Param) marshal(ae *netlink.AttributeEncoder) error {
	if err := putName(ae, paramAttrName, p.Name, heuristicNameMax); err != nil {
		return err
	}
	ae.Uint64(paramAttrValue, p.Value)
	return nil
}

func heuristic(b []byte) (h Heuristic, err error) {
	err = each(b, func(t uint16, v []byte) (err error) {
		switch t {
		case useAttrName:
			h.Name, err = name(v, heuristicNameMax)
		case useAttrRefusals:
			h.Refusals, err = number(v, 8)
		case useAttrTriggers:
			h.Triggers, err = number(v, 8)
		case useAttrVetoes:
			h.Vetoes, err = number(v, 8)
		case useAttrParam:
			if len(h.Params) == paramsMax {
				return fmt.Errorf("more than %d parameters", paramsMax)
			}
			var p Param
			p, err = param(v)
			h.Params = append(h.Params, p)
		}
		return err
	})
	if err == nil && h.Name == "" {
		err = fmt.Errorf("a heuristic lacks a name")
	}
	return h, err
}

func param(b []byte) (p Param, err error) {
	err = each(b, func(t uint16, v []byte) (err error) {
		switch t {
		case paramAttrName:
			p.Name, err = name(v, heuristicNameMax)
		case paramAttrValue:
			p.Value, err = number(v, 8)
		case paramAttrInitial:
			p.Initial, err = number(v, 8)
		case paramAttrMin:
			p.Min, err = number(v, 8)
		case paramAttrMaxValue:
			p.Max, err = number(v, 8)
		}
		return err
	})
	if err == nil && p.Name == "" {
		err = fmt.Errorf("a parameter lacks a name")
	}
	return p, err
}
