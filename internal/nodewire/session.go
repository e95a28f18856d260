package nodewire

import (
	"encoding/base64"

	"github.com/socketeer-io/socketeer/adapter"
)

// EncodeSession returns a session as the streams adapter keeps it: base64 of
// msgpack of {sid, pid, rooms, data}. For Go nodes live is added if it is set,
// and node unless it is empty: what names the node that saved the session. It
// fails if the session's data is no JSON.
func EncodeSession(s *adapter.Session, node string) (string, error) {
	w := writer{}
	w.object(4 + one(node != "") + one(s.Live))
	w.key("sid")
	w.text(s.SID)
	w.key("pid")
	w.text(s.PID)
	w.key("rooms")
	w.names(s.Rooms)
	w.key("data")
	w.record(s.Data)
	w.member("node", node)
	if s.Live {
		w.key("live")
		w.truth(true)
	}
	b, err := w.done(nil)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

// DecodeSession decodes what EncodeSession makes, and what the adapter in
// Node.js does. The session must have a sid and a pid; node is empty and Live
// false if Node.js saved it.
func DecodeSession(text string) (s *adapter.Session, node string, err error) {
	b, err := decodeBase64(text)
	if err != nil {
		return nil, "", err
	}
	r := reader{b: b}
	s = &adapter.Session{}
	w, ok := r.enter(true)
	if !ok {
		r.fail(ErrMalformed)
	}
	for r.next(&w) {
		switch string(r.key()) {
		case "sid":
			s.SID = r.text()
		case "pid":
			s.PID = r.text()
		case "rooms":
			s.Rooms = r.names()
		case "data":
			s.Data = r.inline()
		case "node":
			node = r.text()
		case "live":
			s.Live = r.truth()
		default:
			r.skip()
		}
	}
	if err := r.end(); err != nil {
		return nil, "", err
	}
	if s.SID == "" || s.PID == "" {
		return nil, "", malformed("a session without ids")
	}
	return s, node, nil
}
