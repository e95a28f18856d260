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
	case c < 0x90:
		return t.container(b, kindMap, uint64(c&15))
	case c < 0xa0:
		return t.container(b, kindArray, uint64(c&15))
	case c < 0xc0:
		return t.bytes(b, kindText, uint64(c&31))
	case c >= 0xe0:
		t.kind, t.bits = kindInt, uint64(int64(int8(c))) //nolint:gosec // two's complement is meant
		return t, true
	}
	var width int
	switch c {
	case 0xc0:
		return t, true
	case 0xc2, 0xc3:
		t.kind, t.bits = kindBool, uint64(c&1)
		return t, true
	case 0xca, 0xcb:
		t.kind, width = kindFloat32+kind(c-0xca), 4<<(c-0xca)
	case 0xcc, 0xcd, 0xce, 0xcf:
		t.kind, width = kindUint, 1<<(c-0xcc)
	case 0xd0, 0xd1, 0xd2, 0xd3:
		t.kind, width = kindInt, 1<<(c-0xd0)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return t.extension(b, 1<<(c-0xd4))
	case 0xc4, 0xc5, 0xc6:
		width = 1 << (c - 0xc4)
	case 0xc7, 0xc8, 0xc9:
		width = 1 << (c - 0xc7)
	case 0xd9, 0xda, 0xdb:
		width = 1 << (c - 0xd9)
	case 0xdc, 0xdd:
		width = 2 << (c - 0xdc)
	case 0xde, 0xdf:
		width = 2 << (c - 0xde)
	default:
		return t, false
	}
	v, ok := bigEndian(b, i, width)
	if !ok {
		return t, false
	}
	t.end = i + width
	switch c {
	case 0xc4, 0xc5, 0xc6:
		return t.bytes(b, kindBinary, v)
	case 0xc7, 0xc8, 0xc9:
		return t.extension(b, v)
	case 0xd9, 0xda, 0xdb:
		return t.bytes(b, kindText, v)
	case 0xdc, 0xdd:
		return t.container(b, kindArray, v)
	case 0xde, 0xdf:
		return t.container(b, kindMap, v)
	}
	if t.bits = v; t.kind == kindInt {
		shift := 64 - 8*width
		signed := int64(v<<shift) >> shift //nolint:gosec // two's complement is meant
		t.bits = uint64(signed)            //nolint:gosec // as above
		if signed >= 0 {
			t.kind = kindUint
		}
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

// skipPacked skips the msgpack value at b[i]. It counts what is still to come
// instead of descending, so depth costs nothing.
func skipPacked(b []byte, i int) (end int, ok bool) {
	for left := 1; left > 0; left-- {
		t, ok := tokenAt(b, i)
		if !ok {
			return i, false
		}
		switch i = t.end; t.kind {
		case kindArray:
			left += t.n
		case kindMap:
			left += 2 * t.n
		}
	}
	return i, true
}
