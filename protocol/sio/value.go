package sio

import (
	stdjson "encoding/json"
	"errors"
	"slices"
	"strconv"
)

// Value is an argument of a packet that came in, to be sent on as it is, with
// the binary values in it. The zero Value is null. [Encode] takes it as an
// argument, or inside of []any and map[string]any.
type Value struct {
	raw         stdjson.RawMessage
	attachments [][]byte // of the packet
}

// ValueOf returns element i of a packet's data, a JSON array, with what is in it
// of the packet's attachments; the zero Value if there is none. It keeps both.
func ValueOf(data []byte, i int, attachments [][]byte) Value {
	return Value{Arg(data, i), attachments}
}

// Len returns how many bytes the value's JSON has.
func (v Value) Len() int { return len(v.raw) }

// MarshalJSON returns the value's JSON. It fails if there are binary values in
// it, which JSON alone cannot hold: so does [Encode] if the Value is part of a
// struct.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.raw == nil {
		return []byte("null"), nil
	}
	if n, _ := scanPlaceholders(v.raw, len(v.attachments), nil); n > 0 && len(v.attachments) > 0 {
		return nil, errors.New("socketeer: a Value with binary in it can be an argument, or in []any and map[string]any, and nowhere else")
	}
	return v.raw, nil
}

// passOn appends a value, whose placeholders get new numbers.
func (e *encoder) passOn(v Value) error {
	if v.raw == nil || len(v.attachments) == 0 {
		return e.raw(v.raw)
	}
	var numbers []span
	if _, reason := scanValue(v.raw, 0); reason != "" {
		return errors.New("value: " + reason)
	}
	if _, reason := scanPlaceholders(v.raw, len(v.attachments), func(s span) { numbers = append(numbers, s) }); reason != "" {
		return errors.New("value: " + reason)
	}
	slices.SortFunc(numbers, func(a, b span) int { return a.from - b.from }) // they may be nested
	done := 0
	for _, s := range numbers {
		n, _ := parseInt(v.raw[s.from:s.to], MaxID)
		e.buf = append(e.buf, v.raw[done:s.from]...)
		e.buf = strconv.AppendInt(e.buf, int64(len(e.attachments)), 10)
		e.attachments = append(e.attachments, v.attachments[n])
		done = s.to
	}
	e.buf = append(e.buf, v.raw[done:]...)
	return nil
}
