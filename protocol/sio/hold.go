package sio

import (
	"encoding"
	"encoding/json"
	"reflect"
	"sync"
)

// mayHold memoizes mayHoldBytes. It is a pure function of the type, and there
// are only as many types as the program has, so sharing the memo between all
// users of the package can be noticed only by its speed.
var mayHold sync.Map // reflect.Type -> bool

// mayHoldBytes reports whether JSON of a value of type t may have to contain
// attachments. Values of interface types may hold anything.
func mayHoldBytes(t reflect.Type) bool {
	if t == nil {
		return false
	}
	if v, ok := mayHold.Load(t); ok {
		return v.(bool)
	}
	v := reachesBytes(t, map[reflect.Type]bool{})
	mayHold.Store(t, v)
	return v
}

func reachesBytes(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if isBytes(t) {
		return true
	}
	if marshals(t) && unmarshals(t) {
		return false // opaque: it writes and reads its own JSON
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return reachesBytes(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if (f.IsExported() || f.Anonymous) && f.Tag.Get("json") != "-" && reachesBytes(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// isBytes reports whether values of type t become attachments: byte slices
// that have no JSON of their own, as json.RawMessage has.
func isBytes(t reflect.Type) bool {
	if t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Uint8 {
		return false
	}
	if t == bytesType {
		return true
	}
	p := reflect.PointerTo(t)
	return !marshals(p) && !unmarshals(t) && !marshals(t.Elem()) && !unmarshals(t.Elem())
}

var (
	bytesType           = reflect.TypeFor[[]byte]()
	marshalerType       = reflect.TypeFor[json.Marshaler]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func marshals(t reflect.Type) bool {
	return t.Implements(marshalerType) || t.Implements(textMarshalerType)
}

func unmarshals(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(unmarshalerType) || p.Implements(textUnmarshalerType)
}
