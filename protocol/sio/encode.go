package sio

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Encode returns args as a JSON array in new memory: the data of an event,
// whose first argument is its name, or of an ack.
//
// Values become JSON by the rules of encoding/json, except that <, > and &
// are not escaped, and that byte slices, wherever they are, become
// attachments with placeholders in their stead, numbered depth-first. A byte
// slice type with JSON of its own, such as json.RawMessage, keeps it, and
// a nil one becomes null. The attachments alias the arguments.
//
// An error says which argument cannot be encoded and wraps what encoding it
// returned.
func Encode(args ...any) (data []byte, attachments [][]byte, err error) {
	return AppendArgs(make([]byte, 0, 64), args...)
}

// AppendArgs is [Encode] that appends to dst. After an error it returns nil.
func AppendArgs(dst []byte, args ...any) (data []byte, attachments [][]byte, err error) {
	e := encoder{buf: dst}
	e.buf = append(e.buf, '[')
	for i, arg := range args {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.value(arg); err != nil {
			return nil, nil, fmt.Errorf("socketeer: encode argument %d: %w", i, err)
		}
	}
	e.buf = append(e.buf, ']')
	if len(e.attachments) > 0 {
		// An argument may carry a peer's JSON. Something in it that looks
		// like a placeholder would make receivers take attachments that are
		// not its own, or drop their connection.
		n, reason := countPlaceholders(e.buf[len(dst):], len(e.attachments))
		if reason != "" || n != len(e.attachments) {
			return nil, nil, errForged
		}
	}
	return e.buf, e.attachments, nil
}

var errForged = errors.New("socketeer: encode arguments: an argument with attachments beside it looks like a placeholder")

// countPlaceholders is scanPlaceholders for JSON of any depth.
func countPlaceholders(data []byte, n int) (count int, reason string) {
	if _, reason := scanValue(data, 0); reason != "" {
		return 0, reason
	}
	return scanPlaceholders(data, n)
}

type encoder struct {
	buf         []byte
	attachments [][]byte
}

// value appends one value. The types that arguments mostly have need neither
// reflection nor memory.
func (e *encoder) value(v any) error {
	switch v := v.(type) {
	case nil:
		e.buf = append(e.buf, "null"...)
	case string:
		e.string(v)
	case bool:
		e.buf = strconv.AppendBool(e.buf, v)
	case int:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int32:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int64:
		e.buf = strconv.AppendInt(e.buf, v, 10)
	case uint32:
		e.buf = strconv.AppendUint(e.buf, uint64(v), 10)
	case uint64:
		e.buf = strconv.AppendUint(e.buf, v, 10)
	case float64:
		return e.float(v)
	case stdjson.RawMessage:
		return e.raw(v)
	case []byte:
		e.bytes(v)
	default:
		return e.any(v)
	}
	return nil
}

// string appends s as JSON. Bytes that are not UTF-8 become U+FFFD, as with
// encoding/json; that is all that AppendQuote's error says.
func (e *encoder) string(s string) {
	e.buf, _ = jsontext.AppendQuote(e.buf, s)
}

func (e *encoder) float(f float64) error {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		e.buf = strconv.AppendInt(e.buf, int64(f), 10)
		return nil
	}
	return e.plain(f)
}

func (e *encoder) raw(raw stdjson.RawMessage) error {
	if raw == nil {
		e.buf = append(e.buf, "null"...)
		return nil
	}
	start := skipSpace(raw, 0)
	end, reason := scanValue(raw, start)
	if reason == "" && skipSpace(raw, end) < len(raw) {
		reason = badJSON
	}
	if reason != "" {
		return errors.New("raw message: " + reason)
	}
	e.buf = append(e.buf, raw[start:end]...)
	return nil
}

func (e *encoder) bytes(b []byte) {
	if b == nil {
		e.buf = append(e.buf, "null"...)
		return
	}
	e.buf = AppendPlaceholder(e.buf, len(e.attachments))
	e.attachments = append(e.attachments, b)
}

func (e *encoder) any(v any) error {
	if !mayHoldBytes(reflect.TypeOf(v)) {
		return e.plain(v)
	}
	out, err := json.Marshal(v, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false),
		json.WithMarshalers(json.MarshalToFunc(e.hook)))
	if err != nil {
		return err
	}
	e.buf = append(e.buf, out...)
	return nil
}

// hook marshals byte slices and leaves all else to the package it is called
// by, which calls it for each value with a pointer to it.
func (e *encoder) hook(enc *jsontext.Encoder, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		p := reflect.ValueOf(v)
		if !isBytes(p.Type().Elem()) {
			return errors.ErrUnsupported
		}
		named := p.Elem().Bytes()
		b = &named
	}
	if *b == nil {
		return enc.WriteToken(jsontext.Null)
	}
	n := len(e.attachments)
	e.attachments = append(e.attachments, *b)
	return enc.WriteValue(AppendPlaceholder(nil, n))
}

// plain appends v, which holds no byte slices.
func (e *encoder) plain(v any) error {
	buf := bytes.NewBuffer(e.buf)
	enc := stdjson.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	e.buf = bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})
	return nil
}
