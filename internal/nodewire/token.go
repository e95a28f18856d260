package nodewire

import (
	"encoding/binary"
	"math"
)

type kind uint8

const (
	kindNil kind = iota
	kindBool
	kindUint // bits
	kindInt  // negative, bits
	kindFloat32
	kindFloat64
	kindText
	kindBinary
	kindArray // n elements
	kindMap   // n members
	kindExtension
)

// token is one element of a msgpack text: a scalar, or the header of a
// container.
type token struct {
	kind kind
	form byte   // its first byte
	ext  int8   // type of an extension
	bits uint64 // a number's, or 1 for true
	n    int    // elements or members of a container
	body int    // index of the bytes of text, binary or an extension
	end  int    // index after the token
}

// undefined reports whether the token is what notepack 2 made of undefined.
func (t token) undefined() bool { return t.form == 0xd4 && t.ext == extNotepack }

// float returns a number as JavaScript holds it.
func (t token) float() float64 {
	switch t.kind {
	case kindUint:
		return float64(t.bits)
	case kindInt:
		return float64(int64(t.bits)) //nolint:gosec // two's complement
	case kindFloat32:
		return float64(math.Float32frombits(uint32(t.bits))) //nolint:gosec // four bytes
	}
	return math.Float64frombits(t.bits)
}

// tokenAt reads the token at b[i]. It refuses lengths for which there are not
// enough bytes: an element takes at least one.
func tokenAt(b []byte, i int) (t token, ok bool) {
	if i >= len(b) {
		return t, false
	}
	c := b[i]
	i++
	t.form, t.end = c, i
	switch {
	case c < 0x80:
		t.kind, t.bits = kindUint, uint64(c)
		return t, true
	case c < 0xa0: // inline, because most tokens are these
		t.n = int(c & 15)
		need := t.n
		if t.kind = kindArray; c < 0x90 {
			t.kind = kindMap
			need *= 2
		}
		return t, need <= len(b)-i
	case c < 0xc0:
		n := int(c & 31)
		t.kind, t.body, t.end = kindText, i, i+n
		return t, n <= len(b)-i
	case c >= 0xe0:
		t.kind, t.bits = kindInt, uint64(int64(int8(c))) //nolint:gosec // two's complement is meant
		return t, true
	}
	switch c {
	case 0xc0:
		return t, true
	case 0xc2, 0xc3:
		t.kind, t.bits = kindBool, uint64(c&1)
		return t, true
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return t.extension(b, 1<<(c-0xd4))
	}
	return t.wide(b)
}

// wide reads what has a number or a length after its first byte.
func (t token) wide(b []byte) (token, bool) {
	c := t.form
	width := 0
	switch {
	case c >= 0xc4 && c <= 0xc6:
		width = 1 << (c - 0xc4)
	case c >= 0xc7 && c <= 0xc9:
		width = 1 << (c - 0xc7)
	case c == 0xca || c == 0xcb:
		width = 4 << (c - 0xca)
	case c >= 0xcc && c <= 0xcf:
		width = 1 << (c - 0xcc)
	case c >= 0xd0 && c <= 0xd3:
		width = 1 << (c - 0xd0)
	case c >= 0xd9 && c <= 0xdb:
		width = 1 << (c - 0xd9)
	case c == 0xdc || c == 0xdd:
		width = 2 << (c - 0xdc)
	case c == 0xde || c == 0xdf:
		width = 2 << (c - 0xde)
	default:
		return t, false
	}
	v, ok := bigEndian(b, t.end, width)
	if !ok {
		return t, false
	}
	t.end += width
	switch {
	case c <= 0xc6:
		return t.bytes(b, kindBinary, v)
	case c <= 0xc9:
		return t.extension(b, v)
	case c <= 0xcb:
		t.kind, t.bits = kindFloat32+kind(c-0xca), v
	case c <= 0xcf:
		t.kind, t.bits = kindUint, v
	case c <= 0xd3:
		shift := 64 - 8*width
		signed := int64(v<<shift) >> shift       //nolint:gosec // two's complement is meant
		t.kind, t.bits = kindInt, uint64(signed) //nolint:gosec // as above
		if signed >= 0 {
			t.kind = kindUint
		}
	case c <= 0xdb:
		return t.bytes(b, kindText, v)
	case c <= 0xdd:
		return t.container(b, kindArray, v)
	default:
		return t.container(b, kindMap, v)
	}
	return t, true
}

func (t token) container(b []byte, k kind, n uint64) (token, bool) {
	need := n
	if k == kindMap {
		need *= 2
	}
	if need > uint64(len(b)-t.end) { //nolint:gosec // not negative
		return t, false
	}
	t.kind, t.n = k, int(n) //nolint:gosec // at most len(b)
	return t, true
}

func (t token) bytes(b []byte, k kind, n uint64) (token, bool) {
	if n > uint64(len(b)-t.end) { //nolint:gosec // not negative
		return t, false
	}
	t.kind, t.body = k, t.end
	t.end += int(n) //nolint:gosec // at most len(b)
	return t, true
}

func (t token) extension(b []byte, n uint64) (token, bool) {
	if t.end >= len(b) {
		return t, false
	}
	t.ext = int8(b[t.end]) //nolint:gosec // two's complement is meant
	t.end++
	return t.bytes(b, kindExtension, n)
}

func bigEndian(b []byte, i, width int) (v uint64, ok bool) {
	if len(b)-i < width {
		return 0, false
	}
	switch b = b[i:]; width {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), true
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), true
	}
	return binary.BigEndian.Uint64(b), true
}

// skipPacked skips the msgpack value at b[i], and counts the bytes of binary in
// it. It counts what is still to come instead of descending, so depth costs
// nothing.
func skipPacked(b []byte, i int) (end, binary int, ok bool) {
	for left := 1; left > 0; left-- {
		t, ok := tokenAt(b, i)
		if !ok {
			return i, binary, false
		}
		switch i = t.end; t.kind {
		case kindBinary, kindExtension:
			binary += t.end - t.body
		case kindArray:
			left += t.n
		case kindMap:
			left += 2 * t.n
		}
	}
	return i, binary, true
}
