package nodewire

import "github.com/socketeer-io/socketeer/adapter"

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

// sockets reads descriptions of sockets; there is false for null.
func (r *reader) sockets() (list []adapter.SocketInfo, there bool) {
	list, ids, there := r.socketsOrIDs()
	if len(ids) > 0 {
		r.fail(malformed("a socket is not described"))
	}
	return list, there
}

// socketsOrIDs reads descriptions of sockets, or of a classic node of old their
// ids, but not both.
func (r *reader) socketsOrIDs() (list []adapter.SocketInfo, ids []string, there bool) {
	w, ok := r.enter(false)
	if !ok {
		return nil, nil, false
	}
	for r.next(&w) {
		if r.atObject() {
			list = append(list, r.socket())
		} else if s := r.scalar(); r.err == nil {
			ids = append(ids, string(s.text))
		}
		if len(list) > 0 && len(ids) > 0 {
			r.fail(malformed("sockets and ids of sockets"))
		}
	}
	return list, ids, true
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
	if s.ID == "" {
		r.fail(malformed("a socket without an id"))
	}
	return s
}
