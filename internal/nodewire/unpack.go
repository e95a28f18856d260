package nodewire

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// unpacker translates msgpack to JSON.
type unpacker struct {
	b     []byte
	i     int
	depth int
	out   []byte
	// Binary goes to attachments, a placeholder taking its place, or with
	// inline into the JSON.
	inline      bool
	attachments [][]byte
}

func (u *unpacker) value() error {
	t, ok := tokenAt(u.b, u.i)
	if !ok {
		return ErrMalformed
	}
	u.i = t.end
	switch t.kind {
	case kindNil:
		u.out = append(u.out, "null"...)
	case kindBool:
		u.out = strconv.AppendBool(u.out, t.bits == 1)
	case kindUint, kindInt, kindFloat32, kindFloat64:
		u.out = appendNumeric(u.out, t)
	case kindText:
		u.out = appendText(u.out, u.b[t.body:t.end])
	case kindBinary:
		u.binary(t)
	case kindArray:
		return u.array(t.n)
	case kindMap:
		return u.object(t.n)
	case kindExtension:
		u.extension(t)
	}
	return nil
}

// appendNumeric appends the JSON of a number.
func appendNumeric(dst []byte, t token) []byte {
	switch t.kind {
	case kindUint:
		return strconv.AppendUint(dst, t.bits, 10)
	case kindInt:
		return strconv.AppendInt(dst, int64(t.bits), 10) //nolint:gosec // two's complement
	}
	return appendFloat(dst, t.float())
}

func (u *unpacker) array(n int) error {
	if u.depth == MaxDepth {
		return ErrDepth
	}
	u.depth++
	u.out = append(u.out, '[')
	for i := range n {
		if i > 0 {
			u.out = append(u.out, ',')
		}
		if err := u.value(); err != nil {
			return err
		}
	}
	u.depth--
	u.out = append(u.out, ']')
	return nil
}

func (u *unpacker) object(n int) error {
	if u.depth == MaxDepth {
		return ErrDepth
	}
	u.depth++
	u.out = append(u.out, '{')
	for range n {
		start := len(u.out)
		if u.out[start-1] != '{' {
			u.out = append(u.out, ',')
		}
		if err := u.name(); err != nil {
			return err
		}
		u.out = append(u.out, ':')
		if t, ok := tokenAt(u.b, u.i); ok && t.undefined() {
			u.i = t.end
			u.out = u.out[:start]
			continue
		}
		if err := u.value(); err != nil {
			return err
		}
	}
	u.depth--
	u.out = append(u.out, '}')
	return nil
}

// name appends a member's name. One that is no string becomes one, as it does
// in JavaScript.
func (u *unpacker) name() error {
	t, ok := tokenAt(u.b, u.i)
	if !ok {
		return ErrMalformed
	}
	switch u.i = t.end; t.kind {
	case kindText, kindBinary:
		u.out = appendQuoted(u.out, u.b[t.body:t.end])
	case kindArray, kindMap, kindExtension:
		return malformed("a member's name is neither text nor number")
	default:
		u.out = append(u.out, '"')
		switch t.kind {
		case kindNil:
			u.out = append(u.out, "null"...)
		case kindBool:
			u.out = strconv.AppendBool(u.out, t.bits == 1)
		default:
			u.out = appendNumeric(u.out, t)
		}
		u.out = append(u.out, '"')
	}
	return nil
}

func (u *unpacker) binary(t token) {
	data := u.b[t.body:t.end:t.end]
	if !u.inline {
		u.out = append(u.out, `{"_placeholder":true,"num":`...)
		u.out = strconv.AppendInt(u.out, int64(len(u.attachments)), 10)
		u.out = append(u.out, '}')
		u.attachments = append(u.attachments, data)
		return
	}
	u.out = append(u.out, `{"type":"Buffer","data":[`...)
	u.out = slices.Grow(u.out, 4*len(data))
	for i, c := range data {
		if i > 0 {
			u.out = append(u.out, ',')
		}
		u.out = strconv.AppendUint(u.out, uint64(c), 10)
	}
	u.out = append(u.out, "]}"...)
}

// The types of extensions.
const (
	extTimestamp = -1 // of the msgpack specification
	extNotepack  = 0  // of notepack 2: undefined, Date, ArrayBuffer, told apart by their form
)

func (u *unpacker) extension(t token) {
	body := u.b[t.body:t.end]
	switch {
	case t.undefined():
		u.out = append(u.out, "null"...)
	case t.ext == extNotepack && t.form == 0xd7:
		u.out = appendDate(u.out, int64(binary.BigEndian.Uint64(body)), 0) //nolint:gosec // two's complement
	case t.ext == extNotepack:
		u.binary(t)
	case t.ext == extTimestamp && len(body) == 4:
		u.out = appendTimestamp(u.out, int64(binary.BigEndian.Uint32(body)), 0)
	case t.ext == extTimestamp && len(body) == 8:
		v := binary.BigEndian.Uint64(body)
		u.out = appendTimestamp(u.out, int64(v&(1<<34-1)), int64(v>>34)) //nolint:gosec // 34 and 30 bits
	case t.ext == extTimestamp && len(body) == 12:
		u.out = appendTimestamp(u.out, int64(binary.BigEndian.Uint64(body[4:])), int64(binary.BigEndian.Uint32(body))) //nolint:gosec // two's complement
	default:
		u.out = append(u.out, '[')
		u.out = strconv.AppendInt(u.out, int64(t.ext), 10)
		u.out = append(u.out, ',')
		u.binary(t)
		u.out = append(u.out, ']')
	}
}
