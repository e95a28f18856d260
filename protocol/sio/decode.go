package sio

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// DecodeArg decodes raw, one argument of a packet, into the value that
// v points to, by the rules of encoding/json.
//
// If there are attachments, the placeholders in raw are resolved wherever the
// value has a byte slice (but not one with JSON of its own, such as
// json.RawMessage, which keeps the placeholder) or an empty interface, which
// then holds a []byte. Those byte slices alias the attachments. Without
// attachments nothing is a placeholder.
//
// The error wraps what encoding/json returned.
func DecodeArg(raw []byte, attachments [][]byte, v any) error {
	if decodeFast(raw, v) {
		return nil
	}
	if b, ok := v.(*[]byte); ok && b != nil {
		if n, ok := parsePlaceholder(raw); ok && n < len(attachments) {
			*b = attachments[n]
			return nil
		}
	}
	if err := decode(raw, attachments, v); err != nil {
		return fmt.Errorf("socketeer: decode argument: %w", err)
	}
	return nil
}

// decodeFast decodes the simple cases of common types and reports whether it
// did. It leaves all that is doubtful, and every error, to encoding/json.
func decodeFast(raw []byte, v any) bool {
	if len(raw) == 0 {
		return false
	}
	switch v := v.(type) {
	case *string:
		end, reason := 0, badJSON
		if raw[0] == '"' {
			end, reason = scanString(raw, 0)
		}
		if v == nil || reason != "" || end != len(raw) {
			return false
		}
		*v = unquote(raw)
		return true
	case *bool:
		is := string(raw) == "true"
		if v == nil || !is && string(raw) != "false" {
			return false
		}
		*v = is
		return true
	case *int:
		n, ok := smallInt(raw)
		if v == nil || !ok {
			return false
		}
		*v = int(n)
		return true
	case *int64:
		n, ok := smallInt(raw)
		if v == nil || !ok {
			return false
		}
		*v = n
		return true
	}
	return false
}

// smallInt parses an integer of at most nine digits, which fits every int.
func smallInt(raw []byte) (int64, bool) {
	if len(raw) > 9 {
		return 0, false
	}
	end, reason := scanNumber(raw, 0)
	if reason != "" || end != len(raw) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}

func decode(raw []byte, attachments [][]byte, v any) error {
	if len(attachments) == 0 || !mayHoldBytes(reflect.TypeOf(v)) {
		return stdjson.Unmarshal(raw, v)
	}
	r := resolver{attachments}
	if p, ok := v.(*any); ok && p != nil && !isPointer(*p) {
		var tree any
		if err := stdjson.Unmarshal(raw, &tree); err != nil {
			return err
		}
		tree, err := r.resolve(tree)
		if err == nil {
			*p = tree
		}
		return err
	}
	return json.Unmarshal(raw, v, jsonv1.DefaultOptionsV1(),
		json.WithUnmarshalers(json.UnmarshalFromFunc(r.hook)))
}

// resolver puts attachments where placeholders are.
type resolver struct{ attachments [][]byte }

var errPlaceholder = errors.New("invalid placeholder")

// hook unmarshals byte slices and empty interfaces, and leaves all else to
// the package it is called by, which calls it with a pointer to each value.
func (r resolver) hook(dec *jsontext.Decoder, v any) error {
	if p, ok := v.(*any); ok {
		return r.decodeAny(dec, p)
	}
	p := reflect.ValueOf(v)
	if dec.PeekKind() != '{' || !isBytes(p.Type().Elem()) {
		return errors.ErrUnsupported
	}
	var m any
	if err := json.UnmarshalDecode(dec, &m, json.WithUnmarshalers(nil)); err != nil {
		return err
	}
	m, err := r.resolve(m)
	if err != nil {
		return err
	}
	b, ok := m.([]byte)
	if !ok {
		return &stdjson.UnmarshalTypeError{Value: "object", Type: p.Type().Elem(), Offset: dec.InputOffset()}
	}
	p.Elem().SetBytes(b)
	return nil
}

// decodeAny decodes a whole tree at once and resolves its placeholders after,
// which takes linear time whatever its depth.
func (r resolver) decodeAny(dec *jsontext.Decoder, p *any) error {
	if isPointer(*p) {
		return errors.ErrUnsupported // encoding/json decodes into the pointer's target
	}
	var tree any
	if err := json.UnmarshalDecode(dec, &tree, json.WithUnmarshalers(nil)); err != nil {
		return err
	}
	tree, err := r.resolve(tree)
	if err != nil {
		return err
	}
	*p = tree
	return nil
}

func isPointer(v any) bool {
	return v != nil && reflect.TypeOf(v).Kind() == reflect.Pointer
}

// resolve returns tree with its placeholders replaced, in place but for the
// root.
func (r resolver) resolve(tree any) (any, error) {
	var err error
	switch t := tree.(type) {
	case map[string]any:
		if t[placeholderKey] == true {
			n, ok := t[numberKey].(float64)
			if !ok || n < 0 || n >= float64(len(r.attachments)) || n != float64(int(n)) {
				return nil, errPlaceholder
			}
			return r.attachments[int(n)], nil
		}
		for k, v := range t {
			if t[k], err = r.resolve(v); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, v := range t {
			if t[i], err = r.resolve(v); err != nil {
				return nil, err
			}
		}
	}
	return tree, nil
}
