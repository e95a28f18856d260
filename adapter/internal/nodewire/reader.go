package nodewire

import (
	"bytes"
	"math"
	"strconv"

	"github.com/socketeer-io/socketeer/adapter"
)

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

// scalar is what the members of the protocol are.
type scalar struct {
	kind   kind
	text   []byte  // of text, and of other kinds as JavaScript prints them
	number float64 // of a number
	truth  bool    // of a boolean
}

// scalar reads one; a container fails.
func (r *reader) scalar() (s scalar) {
	if r.err != nil {
		return s
	}
	if !r.json {
		return r.packedScalar()
	}
	r.i = skipSpace(r.b, r.i)
	if r.i >= len(r.b) || r.b[r.i] == '{' || r.b[r.i] == '[' {
		r.fail(malformed("not the scalar that is expected"))
		return s
	}
	end, err := skipScalar(r.b, r.i)
	if err != nil {
		r.fail(err)
		return s
	}
	s.text = r.b[r.i:end]
	r.i = end
	switch s.text[0] {
	case '"':
		s.kind, s.text = kindText, unquoted(s.text)
	case 't', 'f':
		s.kind, s.truth = kindBool, s.text[0] == 't'
	case 'n':
		s.kind = kindNil
	default:
		s.kind = kindFloat64
		s.number, _ = strconv.ParseFloat(string(s.text), 64) // infinite beyond
		s.text = appendFloat(nil, s.number)
	}
	return s
}

func (r *reader) packedScalar() (s scalar) {
	switch t := r.token(); t.kind {
	case kindNil:
		s.text = []byte("null")
	case kindBool:
		s.kind, s.truth = kindBool, t.bits == 1
		s.text = strconv.AppendBool(nil, s.truth)
	case kindText, kindBinary:
		s.kind, s.text = kindText, repaired(r.b[t.body:t.end])
	case kindUint, kindInt, kindFloat32, kindFloat64:
		s.kind, s.text = kindFloat64, appendNumeric(nil, t)
		s.number = t.float()
	default:
		if !t.undefined() {
			r.fail(malformed("not the scalar that is expected"))
			return s
		}
		s.text = []byte("null")
	}
	return s
}

// text reads a string; numbers and booleans, in places where old senders have
// them, become the string that JavaScript makes of them, null becomes "".
func (r *reader) text() string {
	s := r.scalar()
	if s.kind == kindNil {
		return ""
	}
	return string(s.text)
}

// truth reads a boolean; anything else is false.
func (r *reader) truth() bool { return r.scalar().truth }

// count reads a whole number in [0, most]; null is 0.
func (r *reader) count(most int) int {
	s := r.scalar()
	if s.kind == kindNil {
		return 0
	}
	if s.kind != kindFloat64 || s.number < 0 || s.number > float64(most) || s.number != math.Trunc(s.number) {
		r.fail(malformed("a number is not as expected"))
		return 0
	}
	return int(s.number)
}

// names reads a list of names, nil if there is none. None of its elements gets
// lost, since a list without any stands for everyone.
func (r *reader) names() []string {
	w, ok := r.enter(false)
	if !ok {
		return nil
	}
	var list []string
	if w.left > 0 {
		list = make([]string, 0, w.left)
	}
	for r.next(&w) {
		if s := r.scalar(); r.err == nil {
			list = append(list, string(s.text))
		}
	}
	return list
}

// value reads an application's value as JSON, and adds what is binary in it to
// attachments. Where the wire is JSON the value shares its memory.
func (r *reader) value(attachments *[][]byte) []byte {
	if r.json {
		return r.raw()
	}
	if r.err != nil {
		return nil
	}
	end, attached, ok := skipPacked(r.b, r.i)
	if !ok {
		r.fail(ErrMalformed)
		return nil
	}
	room := end - r.i
	if attachments != nil {
		room -= attached
	}
	return r.appendValue(make([]byte, 0, room+room/4+32), attachments)
}

// appendValue appends a value as JSON.
func (r *reader) appendValue(dst []byte, attachments *[][]byte) []byte {
	if r.json {
		return append(dst, r.raw()...)
	}
	if r.err != nil {
		return dst
	}
	u := unpacker{b: r.b, i: r.i, out: dst, inline: attachments == nil}
	if attachments != nil {
		u.attachments = *attachments
	}
	if err := u.value(); err != nil {
		r.fail(err)
		return dst
	}
	r.i = u.i
	if attachments != nil {
		*attachments = u.attachments
	}
	return u.out
}

// inline reads a value for which there is no place for attachments; nil for
// null.
func (r *reader) inline() []byte {
	v := r.value(nil)
	if string(v) == "null" {
		return nil
	}
	return v
}

// sockets reads descriptions of sockets, or of a classic node of old their ids.
func (r *reader) sockets() (list []adapter.SocketInfo, ids []string) {
	w, ok := r.enter(false)
	if !ok {
		return nil, nil
	}
	for r.next(&w) {
		if r.atObject() {
			list = append(list, r.socket())
		} else if s := r.scalar(); r.err == nil {
			ids = append(ids, string(s.text))
		}
	}
	return list, ids
}

// atObject reports whether an object comes next.
func (r *reader) atObject() bool {
	if r.json {
		r.i = skipSpace(r.b, r.i)
		return r.i < len(r.b) && r.b[r.i] == '{'
	}
	t, ok := tokenAt(r.b, r.i)
	return ok && t.kind == kindMap
}

func (r *reader) socket() (s adapter.SocketInfo) {
	w, _ := r.enter(true)
	for r.next(&w) {
		switch string(r.key()) {
		case "id":
			s.ID = r.text()
		case "handshake":
			s.Handshake = r.inline()
		case "rooms":
			s.Rooms = r.names()
		case "data":
			s.Data = r.inline()
		default:
			r.skip()
		}
	}
	return s
}
