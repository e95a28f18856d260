package nodewire_test

import (
	"encoding/json"
	"testing"

	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// fuzz checks that what a decoder accepts is sound, and stays what it is when
// it is encoded and decoded again.
func fuzz(f *testing.F, kind format, recordings []string) {
	f.Helper()
	for _, h := range recordings {
		f.Add(unhex(f, h))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := kind.decode(b)
		if err != nil {
			return
		}
		sound(t, m, len(b))
		again, err := kind.encode(nil, m)
		if err != nil {
			if m.Type > nodewire.AdapterClose || m.Type == 0 {
				return // not known
			}
			t.Fatalf("%s: %v", show(m), err)
		}
		back, err := kind.decode(again)
		if err != nil {
			t.Fatalf("%s became %q: %v", show(m), again, err)
		}
		sound(t, back, 5*len(b)+200)
	})
}

// sound checks what later code relies on.
func sound(t *testing.T, m *nodewire.Message, size int) {
	t.Helper()
	switch m.Type {
	case nodewire.Broadcast, nodewire.ServerSideEmit, nodewire.ServerSideEmitResponse, nodewire.BroadcastAck:
		if !json.Valid(m.Data) || m.Data[0] != '[' {
			t.Fatalf("data %q", m.Data)
		}
	}
	for _, s := range m.Sockets {
		if s.Data != nil && !json.Valid(s.Data) || s.Handshake != nil && !json.Valid(s.Handshake) {
			t.Fatalf("socket %s", s)
		}
	}
	if n := len(m.Sockets) + len(m.Rooms) + len(m.Target.Rooms) + len(m.Target.Except) + len(m.Attachments); n > size || len(m.Data) > 40*size {
		t.Fatalf("%d elements from %d bytes", n, size)
	}
}

func FuzzClassicBroadcast(f *testing.F) {
	fuzz(f, broadcast, recorded(f).ClassicBroadcasts)
}

func FuzzClassicRequest(f *testing.F) { fuzz(f, request, recorded(f).ClassicRequests) }

func FuzzClassicResponse(f *testing.F) { fuzz(f, response, recorded(f).ClassicResponses) }

func FuzzEnvelope(f *testing.F) {
	fuzz(f, envelope, append(recorded(f).Envelopes, recorded(f).Published...))
}

func FuzzPeekClassicUID(f *testing.F) {
	for _, h := range recorded(f).ClassicBroadcasts {
		f.Add(unhex(f, h))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		uid, ok := nodewire.PeekClassicUID(b)
		if m, err := nodewire.DecodeClassicBroadcast(b); err == nil && ok && m.UID != string(uid) && json.Valid([]byte(`"`+m.UID+`"`)) &&
			string([]rune(string(uid))) == string(uid) {
			t.Fatalf("peeked %q, decoded %q", uid, m.UID)
		}
	})
}

func FuzzStreamEntry(f *testing.F) {
	for _, fields := range recorded(f).Entries {
		if len(fields) == 8 {
			f.Add("u", "/", fields[5], fields[7])
		}
	}
	f.Fuzz(func(t *testing.T, uid, nsp, typ, data string) {
		m, err := nodewire.DecodeStreamEntry(map[string]string{"uid": uid, "nsp": nsp, "type": typ, "data": data})
		if err != nil {
			return
		}
		sound(t, m, len(data))
		if fields, err := nodewire.StreamFields(m); err == nil {
			if _, err := nodewire.DecodeStreamEntry(entry(fields)); err != nil {
				t.Fatalf("%s became %q: %v", show(m), fields, err)
			}
		}
	})
}

func FuzzSession(f *testing.F) {
	f.Add(goldenSession)
	for _, s := range recorded(f).Sessions {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, node, err := nodewire.DecodeSession(text)
		if err != nil {
			return
		}
		if s.Data != nil && !json.Valid(s.Data) {
			t.Fatalf("data %q", s.Data)
		}
		again, err := nodewire.EncodeSession(s, node)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := nodewire.DecodeSession(again); err != nil {
			t.Fatal(err)
		}
	})
}
