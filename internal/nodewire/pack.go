package nodewire

import (
	"math"
	"strconv"

	"github.com/tinylib/msgp/msgp"
)

// maxSafe is the largest integer up to which JavaScript counts exactly.
const maxSafe = 1 << 53

// packer translates JSON, valid in UTF-8, to msgpack.
type packer struct {
	b     []byte
	i     int
	depth int
	// What placeholders stand for. Without attachments none is looked for.
	attachments [][]byte
	out         []byte
}

// appendPacked appends a JSON text as msgpack.
func appendPacked(dst, text []byte, attachments [][]byte) ([]byte, error) {
	p := packer{b: repaired(text), attachments: attachments, out: dst}
	if err := p.value(); err != nil {
		return dst, err
	}
	if skipSpace(p.b, p.i) != len(p.b) {
		return dst, ErrMalformed
	}
	return p.out, nil
}

func (p *packer) value() error {
	p.i = skipSpace(p.b, p.i)
	if p.i >= len(p.b) {
		return ErrMalformed
	}
	switch p.b[p.i] {
	case '{':
		return p.object()
	case '[':
		return p.array()
	}
	start := p.i
	end, err := skipScalar(p.b, start)
	if err != nil {
		return err
	}
	p.i = end
	switch p.b[start] {
	case '"':
		p.text(p.b[start:end])
	case 't', 'f':
		p.out = msgp.AppendBool(p.out, p.b[start] == 't')
	case 'n':
		p.out = msgp.AppendNil(p.out)
	default:
		p.out = appendNumber(p.out, p.b[start:end])
	}
	return nil
}

// open enters a container, which element then walks.
func (p *packer) open() error {
	if p.depth == MaxDepth {
		return ErrDepth
	}
	p.depth++
	p.i++
	return nil
}

// element goes to the next element of a container of which there were n, and
// leaves the container when there is none.
func (p *packer) element(n int, object bool) (more bool, err error) {
	p.i = skipSpace(p.b, p.i)
	if p.i >= len(p.b) {
		return false, ErrMalformed
	}
	if c := p.b[p.i]; object && c == '}' || !object && c == ']' {
		p.i++
		p.depth--
		return false, nil
	}
	if n > 0 {
		if p.b[p.i] != ',' {
			return false, ErrMalformed
		}
		p.i = skipSpace(p.b, p.i+1)
	}
	return true, nil
}

func (p *packer) array() error {
	if err := p.open(); err != nil {
		return err
	}
	start := len(p.out)
	p.out = append(p.out, 0)
	for n := 0; ; n++ {
		more, err := p.element(n, false)
		if err == nil && more {
			err = p.value()
		}
		if err != nil {
			return err
		}
		if !more {
			p.out = arrayHeader.put(p.out, start, n)
			return nil
		}
	}
}

// The names of a placeholder's members, as msgpack.
const (
	packedMark   = "\xac_placeholder"
	packedNumber = "\xa3num"
)

// object appends an object as a map. If it turns out to be a placeholder, as
// in JavaScript every object whose member _placeholder is true, the attachment
// takes its place.
func (p *packer) object() error {
	if err := p.open(); err != nil {
		return err
	}
	start := len(p.out)
	p.out = append(p.out, 0)
	marked, number := false, -1
	for n := 0; ; n++ {
		more, err := p.element(n, true)
		if err != nil {
			return err
		}
		if !more {
			if marked && number >= 0 && number < len(p.attachments) {
				p.out = msgp.AppendBytes(p.out[:start], p.attachments[number])
				return nil
			}
			p.out = mapHeader.put(p.out, start, n)
			return nil
		}
		key := len(p.out)
		if err := p.name(); err != nil {
			return err
		}
		value := len(p.out)
		if err := p.value(); err != nil {
			return err
		}
		if len(p.attachments) == 0 {
			continue
		}
		switch string(p.out[key:value]) {
		case packedMark:
			marked = string(p.out[value:]) == "\xc3"
		case packedNumber:
			number = packedIndex(p.out[value:])
		}
	}
}

// name appends a member's name and skips the colon.
func (p *packer) name() error {
	end, ok := skipString(p.b, p.i)
	if !ok {
		return ErrMalformed
	}
	p.text(p.b[p.i:end])
	p.i = skipSpace(p.b, end)
	if p.i >= len(p.b) || p.b[p.i] != ':' {
		return ErrMalformed
	}
	p.i++
	return nil
}

func (p *packer) text(quoted []byte) {
	inner := quoted[1 : len(quoted)-1]
	if skipPlain(inner, 0) == len(inner) {
		p.out = msgp.AppendStringFromBytes(p.out, inner)
		return
	}
	start := len(p.out)
	p.out = appendUnquoted(append(p.out, 0), quoted)
	p.out = textHeader.put(p.out, start, len(p.out)-start-1)
}

// header describes the headers of things that have a length.
type header struct {
	fixed        byte // or'd with a length below limit
	limit        int
	b8, b16, b32 byte // before a length of that many bits, 0 if there is none
}

var (
	textHeader  = header{fixed: 0xa0, limit: 32, b8: 0xd9, b16: 0xda, b32: 0xdb}
	arrayHeader = header{fixed: 0x90, limit: 16, b16: 0xdc, b32: 0xdd}
	mapHeader   = header{fixed: 0x80, limit: 16, b16: 0xde, b32: 0xdf}
)

// put puts the header for length n, known only afterwards, in the place of the
// byte that was left for it at b[start]. It moves what follows when one byte
// is not enough.
func (h *header) put(b []byte, start, n int) []byte {
	if n < h.limit {
		b[start] = h.fixed | byte(n) //nolint:gosec // below limit
		return b
	}
	width := 4
	switch b[start] = h.b32; {
	case n < 1<<8 && h.b8 != 0:
		width, b[start] = 1, h.b8
	case n < 1<<16:
		width, b[start] = 2, h.b16
	}
	end := len(b)
	b = append(b, "\x00\x00\x00\x00"[:width]...)
	copy(b[start+1+width:], b[start+1:end])
	for i := width; i > 0; i-- {
		b[start+i] = byte(n) //nolint:gosec // byte by byte
		n >>= 8
	}
	return b
}

// packedIndex returns the value of a packed integer that can be an index of an
// attachment, else -1.
func packedIndex(b []byte) int {
	t, ok := tokenAt(b, 0)
	if !ok || t.kind != kindUint || t.bits > math.MaxInt32 {
		return -1
	}
	return int(t.bits) //nolint:gosec // checked
}

// appendNumber appends a JSON number.
func appendNumber(dst, b []byte) []byte {
	if _, whole, _ := skipNumber(b, 0); whole {
		if b[0] == '-' {
			if v, err := strconv.ParseInt(string(b), 10, 64); err == nil {
				return appendInt(dst, v)
			}
		} else if v, err := strconv.ParseUint(string(b), 10, 64); err == nil {
			return msgp.AppendUint64(dst, v)
		}
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil { // beyond float64
		return msgp.AppendNil(dst)
	}
	if f == math.Trunc(f) && math.Abs(f) <= maxSafe {
		return appendInt(dst, int64(f))
	}
	return msgp.AppendFloat64(dst, f)
}

// appendInt appends v in the shortest form, unsigned unless it is negative.
func appendInt(dst []byte, v int64) []byte {
	if v >= 0 {
		return msgp.AppendUint64(dst, uint64(v))
	}
	return msgp.AppendInt64(dst, v)
}
