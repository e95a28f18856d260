package nodewire

// AppendClassicBroadcast appends a Broadcast as the classic adapter sends it:
// msgpack of [uid, {type, data, nsp}, {rooms, except, flags}]. One that wants
// acknowledgements is a request instead. It fails if Data is no JSON.
func AppendClassicBroadcast(dst []byte, m *Message) ([]byte, error) {
	w := writer{b: dst}
	w.array(3)
	w.text(m.UID)
	w.packet(m, true)
	if m.UID == EmitterUID {
		w.emitterOptions(m)
	} else {
		w.options(m, true)
	}
	return w.done(dst)
}

// PeekClassicUID returns the uid of a broadcast without decoding anything else:
// a receiver ignores its own.
func PeekClassicUID(b []byte) (uid []byte, ok bool) {
	list, ok := tokenAt(b, 0)
	if !ok || list.kind != kindArray || list.n == 0 {
		return nil, false
	}
	t, ok := tokenAt(b, list.end)
	if !ok || t.kind != kindText {
		return nil, false
	}
	return b[t.body:t.end], true
}

// DecodeClassicBroadcast decodes what AppendClassicBroadcast makes, and what
// adapters and emitters in Node.js do.
func DecodeClassicBroadcast(b []byte) (*Message, error) {
	r := reader{b: b}
	m := &Message{Type: Broadcast}
	opts := false
	w, ok := r.enter(false)
	if !ok || w.left < 3 {
		return nil, malformed("not a broadcast")
	}
	for n := 0; r.next(&w); n++ {
		switch n {
		case 0:
			m.UID = r.text()
		case 1:
			r.packet(m)
		case 2:
			opts = r.options(m)
		default:
			r.skip()
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if m.NSP == "" {
		m.NSP = "/"
	}
	if err := m.check(opts); err != nil {
		return nil, err
	}
	return m, nil
}
