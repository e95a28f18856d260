package nodewire

import "bytes"

// reader reads the members of a message in JSON or msgpack. The first error
// sticks: every later read returns zero, and every loop ends.
type reader struct {
	b    []byte
	i    int
	json bool
	err  error
}

// newReader reads JSON if b begins like an object, else msgpack: so do the
// receivers in Node.js tell them apart.
func newReader(b []byte) reader {
	if len(b) > 0 && b[0] == '{' {
		return reader{b: repaired(b), json: true}
	}
	return reader{b: b}
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.i = len(r.b)
}

// end checks that nothing follows.
func (r *reader) end() error {
	if r.err == nil {
		if r.json {
			r.i = skipSpace(r.b, r.i)
		}
		if r.i != len(r.b) {
			r.fail(malformed("something follows"))
		}
	}
	return r.err
}

// items is a walk over the elements of a container.
type items struct {
	object bool
	first  bool
	closed bool // there is nothing to walk
	left   int  // of msgpack
}

// enter begins to walk an object or array. It returns false for null and
// undefined, which it skips, and fails for anything else.
func (r *reader) enter(object bool) (w items, ok bool) {
	none := items{closed: true}
	if r.err != nil {
		return none, false
	}
	if !r.json {
		t := r.token()
		switch {
		case t.kind == kindMap && object, t.kind == kindArray && !object:
			return items{object: object, left: t.n}, true
		case t.kind == kindNil, t.undefined():
		default:
			r.fail(malformed("not the container that is expected"))
		}
		return none, false
	}
	opening := byte('[')
	if object {
		opening = '{'
	}
	r.i = skipSpace(r.b, r.i)
	if r.i < len(r.b) && r.b[r.i] == opening {
		r.i++
		return items{object: object, first: true}, true
	}
	if end, ok := skipLiteral(r.b, r.i, "null"); ok {
		r.i = end
	} else {
		r.fail(malformed("not the container that is expected"))
	}
	return none, false
}

// token reads a token of msgpack; what follows the header of a container is
// still to be read.
func (r *reader) token() token {
	if r.err != nil {
		return token{}
	}
	t, ok := tokenAt(r.b, r.i)
	if !ok {
		r.fail(ErrMalformed)
		return token{}
	}
	r.i = t.end
	return t
}

// next goes to the next element. Each must be read.
func (r *reader) next(w *items) bool {
	if r.err != nil || w.closed {
		return false
	}
	if !r.json {
		w.left--
		return w.left >= 0
	}
	r.i = skipSpace(r.b, r.i)
	if r.i >= len(r.b) {
		r.fail(ErrMalformed)
		return false
	}
	if c := r.b[r.i]; w.object && c == '}' || !w.object && c == ']' {
		r.i++
		return false
	}
	if !w.first {
		if r.b[r.i] != ',' {
			r.fail(ErrMalformed)
			return false
		}
		r.i = skipSpace(r.b, r.i+1)
	}
	w.first = false
	return true
}

// key reads a member's name, nil if it is not text.
func (r *reader) key() []byte {
	if !r.json {
		if t := r.token(); t.kind == kindText {
			return r.b[t.body:t.end]
		} else if t.kind == kindArray || t.kind == kindMap {
			r.fail(malformed("a member's name is a container"))
		}
		return nil
	}
	end, ok := skipString(r.b, r.i)
	if !ok {
		r.fail(ErrMalformed)
		return nil
	}
	quoted := r.b[r.i:end]
	r.i = skipSpace(r.b, end)
	if r.i >= len(r.b) || r.b[r.i] != ':' {
		r.fail(ErrMalformed)
		return nil
	}
	r.i++
	return unquoted(quoted)
}

// unquoted returns the value of a JSON string, sharing its memory if it can.
func unquoted(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	return appendUnquoted(make([]byte, 0, len(quoted)), quoted)
}

// skip passes over a value.
func (r *reader) skip() {
	if r.err != nil {
		return
	}
	if r.json {
		end, err := skipJSON(r.b, r.i)
		if r.i = end; err != nil {
			r.fail(err)
		}
		return
	}
	end, _, ok := skipPacked(r.b, r.i)
	if r.i = end; !ok {
		r.fail(ErrMalformed)
	}
}

// raw returns a value as it stands, nil if it is undefined.
func (r *reader) raw() []byte {
	if r.json {
		r.i = skipSpace(r.b, r.i)
	}
	start := r.i
	if r.skip(); r.err != nil {
		return nil
	}
	if !r.json {
		if t, _ := tokenAt(r.b, start); t.undefined() {
			return nil
		}
	}
	return r.b[start:r.i:r.i]
}
