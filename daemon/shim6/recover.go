// SPDX-License-Identifier: MIT

package shim6

import (
	"fmt"
	"time"

	"shim6/daemon/wire"
)

// R1bis answers an R1bis with an I2bis on the pair that it came on: the peer lost the context (RFC 5533 section 7.18). It
// fails, and does nothing, where the I2bis would be too long.
func (c *Context) R1bis(now time.Time, pair LocatorPair, m *wire.R1bis, own *Announcement, nonce uint32) ([]Action, error) {
	i2bis := &wire.I2bis{
		InitiatorTag: c.TagLocal, InitNonce: nonce, RespNonce: m.RespNonce, PacketTag: m.PacketTag,
		Options: c.addressing(pair),
	}
	i2bis.Validator = m.Validator
	c.announce(&i2bis.Options, own)
	if _, err := wire.Marshal(i2bis); err != nil {
		return nil, fmt.Errorf("answer to R1bis: %w", err)
	}
	c.stop()
	c.wake()
	c.InitNonce, c.fallbacks, c.told = nonce, 0, true
	c.Local = own.Set
	c.Exchange = pair
	c.setState(now, StateI2bisSent, "R1bis received")
	c.hold(now, I2bisTimeout, i2bis)
	return c.take(), nil
}
