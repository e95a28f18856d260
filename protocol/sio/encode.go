package sio

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

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
// Lists and maps that are deeper than [MaxDepth], and so those that contain
// themselves, are an error. What a json.RawMessage or a MarshalJSON method
// yields is made UTF-8, or refused, for no receiver would take it.
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
		if err := e.value(arg, 1); err != nil {
			return nil, nil, fmt.Errorf("socketeer: encode argument %d: %w", i, err)
		}
	}
	e.buf = append(e.buf, ']')
	if len(e.attachments) > 0 {
		if err := checkForged(e.buf[len(dst):], len(e.attachments)); err != nil {
			return nil, nil, err
		}
	}
	return e.buf, e.attachments, nil
}

// checkForged refuses data with other placeholders than its n attachments
// have. An argument may carry a peer's JSON, and something in it that looks
// like a placeholder would make receivers put an attachment in its place, or
// drop their connection because there is no such attachment.
func checkForged(data []byte, n int) error {
	_, reason := scanValue(data, 0)
	if reason == "" {
		var found int
		if found, reason = scanPlaceholders(data, n, nil); found == n && reason == "" {
			return nil
		}
		reason = "a value other than a byte slice looks like a placeholder"
	}
	return errors.New("socketeer: encode arguments: " + reason)
}

type encoder struct {
	buf         []byte
	attachments [][]byte
}

// value appends one value inside of depth others. The types that arguments
// mostly have need no reflection.
func (e *encoder) value(v any, depth int) error {
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
	case Value:
		return e.passOn(v)
	case []any:
		return e.list(v, depth)
	case map[string]any:
		return e.object(v, depth)
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

func (e *encoder) list(list []any, depth int) error {
	if list == nil {
		e.buf = append(e.buf, "null"...)
		return nil
	}
	if depth == MaxDepth {
		return errDeep
	}
	e.buf = append(e.buf, '[')
	for i, v := range list {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.value(v, depth+1); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, ']')
	return nil
}

func (e *encoder) object(object map[string]any, depth int) error {
	if object == nil {
		e.buf = append(e.buf, "null"...)
		return nil
	}
	if depth == MaxDepth {
		return errDeep
	}
	e.buf = append(e.buf, '{')
	var few [8]string
	keys := slices.AppendSeq(few[:0], maps.Keys(object))
	slices.Sort(keys)
	for i, key := range keys {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.string(key)
		e.buf = append(e.buf, ':')
		if err := e.value(object[key], depth+1); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '}')
	return nil
}

// errDeep also ends the encoding of a map or list that contains itself.
var errDeep = errors.New("nested too deep")

// any appends a value of a type that value does not know.
func (e *encoder) any(v any) error {
	if !mayHoldBytes(reflect.TypeOf(v)) {
		return e.plain(v)
	}
	c := collector{e.attachments}
	out, err := json.Marshal(v, jsonv1.DefaultOptionsV1(), jsontext.EscapeForHTML(false),
		json.WithMarshalers(json.MarshalToFunc(c.hook)))
	if err != nil {
		return err
	}
	start := len(e.buf)
	e.buf = append(e.buf, out...)
	e.attachments = c.attachments
	e.cleanFrom(start)
	return nil
}

// plain appends v, which holds no byte slices.
func (e *encoder) plain(v any) error {
	s := sink(e.buf)
	enc := stdjson.NewEncoder(&s)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	start := len(e.buf)
	e.buf = s[:len(s)-1] // without the line break that Encode writes
	e.cleanFrom(start)
	return nil
}

// cleanFrom makes the buffer from start on UTF-8. What a MarshalJSON method
// or a nested json.RawMessage returned is not checked by encoding/json.
func (e *encoder) cleanFrom(start int) {
	if out := e.buf[start:]; !utf8.Valid(out) {
		e.buf = append(e.buf[:start], bytes.ToValidUTF8(out, []byte("\ufffd"))...)
	}
}

// sink is a writer that appends to itself.
type sink []byte

func (s *sink) Write(b []byte) (int, error) {
	*s = append(*s, b...)
	return len(b), nil
}

// collector takes the attachments out of the values it is shown.
type collector struct{ attachments [][]byte }

// hook marshals byte slices and leaves all else to the package it is called
// by, which calls it for each value with a pointer to it.
func (c *collector) hook(enc *jsontext.Encoder, v any) error {
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
	n := len(c.attachments)
	c.attachments = append(c.attachments, *b)
	return enc.WriteValue(AppendPlaceholder(nil, n))
}
