package nodewire

import (
	"math"
	"strconv"
)

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
