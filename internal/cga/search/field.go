// SPDX-License-Identifier: MIT

package search

// FreeField chooses, of octets first to before last of an input, all of them free to take any value, a field whose
// search costs fewer compressions than that of the modifier. HBA-only sets have such octets: the 384 random bits of
// their pseudo key (RFC 5535 section 5.1). ok is false when no field there is better than the modifier.
func FreeField(first, last int) (f Field, ok bool) {
	// The engines vary word 3 of a block, and a later block is better than an earlier one.
	const end = 16
	e := (last-end)/blockSize*blockSize + end
	if last < end || e <= blockSize || e-first < 8 {
		return Field{}, false
	}
	n := min(e-first, end)
	return Field{Offset: e - n, Len: n}, true
}

// extensionHead is the type and the length of an extension (RFC 4581 section 2).
const extensionHead = 4

// ExtensionField tells how an extension with one of RFC 4581's experimental types makes the search of an input of n
// octets cost a single compression for each candidate, however long the key: the extension, put last, is filled up so
// that its final octets stand right before the padding in the last block. data is the number of octets of its data, 8 to
// 71 with any real key, any value serves, and f is the field at its end. The price is the larger CGA parameters; hosts that verify hash the
// extension and ignore it (RFC 3972 section 4, RFC 4581 section 2).
func ExtensionField(n int) (data int, f Field) {
	const (
		end = blockSize - 9 // the padding takes nine octets at least
		len = 8
	)
	start := n + extensionHead + len
	e := max(start-end+blockSize-1, blockSize)/blockSize*blockSize + end
	return len + e - start, Field{Offset: e - len, Len: len}
}
