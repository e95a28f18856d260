package nodewire

import (
	"strconv"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
)

// writer appends the members of a message in JSON or msgpack.
type writer struct {
	b    []byte
	json bool
	err  error // of the application's values
}

// object begins an object of n members.
func (w *writer) object(n int) {
	if w.json {
		w.b = append(w.b, '{')
	} else {
		w.b = msgp.AppendMapHeader(w.b, uint32(n)) //nolint:gosec // few
	}
}

// array begins an array of n elements.
func (w *writer) array(n int) {
	if w.json {
		w.b = append(w.b, '[')
	} else {
		w.b = msgp.AppendArrayHeader(w.b, uint32(n)) //nolint:gosec // a list in memory
	}
}

// end ends an object, '}', or array, ']'.
func (w *writer) end(c byte) {
	if w.json {
		w.b = append(w.b, c)
	}
}

// element begins an element of an array: nothing but an opening array ends
// with '[' here.
func (w *writer) element() {
	if w.json && w.b[len(w.b)-1] != '[' {
		w.b = append(w.b, ',')
	}
}

// key begins a member.
func (w *writer) key(name string) {
	if !w.json {
		w.b = msgp.AppendString(w.b, name)
		return
	}
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) text(s string) {
	if w.json {
		w.b = appendQuoted(w.b, s)
	} else {
		w.b = msgp.AppendString(w.b, s)
	}
}

func (w *writer) number(v int64) {
	if w.json {
		w.b = strconv.AppendInt(w.b, v, 10)
	} else {
		w.b = appendInt(w.b, v)
	}
}

func (w *writer) truth(v bool) {
	if w.json {
		w.b = strconv.AppendBool(w.b, v)
	} else {
		w.b = msgp.AppendBool(w.b, v)
	}
}

func (w *writer) names(list []string) {
	w.array(len(list))
	for _, s := range list {
		w.element()
		w.text(s)
	}
	w.end(']')
}

// value appends an application's JSON, null if there is none.
func (w *writer) value(text []byte, attachments [][]byte) {
	switch {
	case len(text) == 0 && w.json:
		w.b = append(w.b, "null"...)
	case len(text) == 0:
		w.b = msgp.AppendNil(w.b)
	case w.json:
		w.b = append(w.b, text...)
	default:
		out, err := appendPacked(w.b, text, attachments)
		if err != nil && w.err == nil {
			w.err = err
		}
		w.b = out
	}
}

// record appends a JSON object, an empty one if there is none: Node.js
// applications look into it unasked.
func (w *writer) record(object []byte) {
	if len(object) == 0 {
		w.object(0)
		w.end('}')
		return
	}
	w.value(object, nil)
}

// options appends {rooms, except, flags}.
func (w *writer) options(m *Message, flags bool) {
	w.object(2 + one(flags))
	w.key("rooms")
	w.names(m.Target.Rooms)
	w.key("except")
	w.names(m.Target.Except)
	if flags {
		w.key("flags")
		w.flags(m.Flags)
	}
	w.end('}')
}

// emitterOptions is options in the order of classic emitters.
func (w *writer) emitterOptions(m *Message) {
	w.object(3)
	w.key("rooms")
	w.names(m.Target.Rooms)
	w.key("flags")
	w.flags(m.Flags)
	w.key("except")
	w.names(m.Target.Except)
	w.end('}')
}

// flags appends only what is set: a member that is false or null means
// something else than none.
func (w *writer) flags(f adapter.Flags) {
	w.object(one(f.Volatile) + one(f.NoCompress) + one(f.Timeout > 0))
	if f.Volatile {
		w.key("volatile")
		w.truth(true)
	}
	if f.NoCompress {
		w.key("compress")
		w.truth(false)
	}
	if f.Timeout > 0 {
		w.key("timeout")
		w.number(int64(f.Timeout/time.Millisecond) + int64(one(f.Timeout%time.Millisecond > 0)))
	}
	w.end('}')
}

// packet appends an event; with nsp where the format has it there.
func (w *writer) packet(m *Message, nsp bool) {
	w.object(2 + one(nsp))
	w.key("type")
	w.number(packetEvent)
	w.key("data")
	w.value(m.Data, m.Attachments)
	if nsp {
		w.key("nsp")
		w.text(m.NSP)
	}
	w.end('}')
}

// sockets appends descriptions of sockets.
func (w *writer) sockets(list []adapter.SocketInfo) {
	w.array(len(list))
	for i := range list {
		s := &list[i]
		w.element()
		w.object(4)
		w.key("id")
		w.text(s.ID)
		w.key("handshake")
		w.record(s.Handshake)
		w.key("rooms")
		w.names(s.Rooms)
		w.key("data")
		w.record(s.Data)
		w.end('}')
	}
	w.end(']')
}

// member appends a string member unless it is empty.
func (w *writer) member(name, value string) {
	if value != "" {
		w.key(name)
		w.text(value)
	}
}

// one is 1 for a member that there is.
func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
