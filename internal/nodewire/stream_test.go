package nodewire_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

const goldenSession = "hKNzaWS0cl9FWGhBcmczZldKLU9NUEFBQUOjcGlktFphNkYxU2lUSVQ2eVNXMmdBQUFEpXJvb21zkrRyX0VYaEFyZzNmV0otT01QQUFBQ6Vyb29tMaRkYXRhgA=="

func TestSession(t *testing.T) {
	want := &adapter.Session{
		SID: "r_EXhArg3fWJ-OMPAAAC", PID: "Za6F1SiTIT6ySW2gAAAD",
		Rooms: []string{"r_EXhArg3fWJ-OMPAAAC", "room1"}, Data: []byte(`{}`),
	}
	got, node, err := nodewire.DecodeSession(goldenSession)
	if err != nil || node != "" || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v of %q, %v", got, node, err)
	}
	if text, err := nodewire.EncodeSession(want, ""); err != nil || text != goldenSession {
		t.Errorf("encoded as %s, %v", text, err)
	}
	want.Live, want.Data = true, []byte(`{"a":[1,{"_placeholder":true,"num":0}]}`)
	text, err := nodewire.EncodeSession(want, "incarnation")
	if err != nil {
		t.Fatal(err)
	}
	got, node, err = nodewire.DecodeSession(text)
	if err != nil || node != "incarnation" || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v of %q, %v", got, node, err)
	}
}

func TestRecordedSessions(t *testing.T) {
	for i, text := range recorded(t).Sessions {
		s, _, err := nodewire.DecodeSession(text)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{`{"user":"é","n":[1]}`, `{"at":"2023-11-14T22:13:20.123Z","bin":{"type":"Buffer","data":[1,2]},"u":null}`}[i%2]
		if string(s.Data) != want {
			t.Errorf("data %s, want %s", s.Data, want)
		}
	}
}

func TestBadSessions(t *testing.T) {
	for _, text := range []string{"", "!", "gA==", "kA==", goldenSession[:40], goldenSession[4:]} {
		if s, _, err := nodewire.DecodeSession(text); !errors.Is(err, nodewire.ErrMalformed) {
			t.Errorf("%q became %v, %v", text, s, err)
		}
	}
	if _, err := nodewire.EncodeSession(&adapter.Session{Data: []byte("{")}, ""); !errors.Is(err, nodewire.ErrMalformed) {
		t.Error(err)
	}
}

func TestStreamName(t *testing.T) {
	hashes := map[string]int32{
		"/": 47, "/admin": 1438238848, "/chat": 46457863, "/orders": 2049197012, "/dynamic-101": 1512028117,
		"/my-namespace": -1403629527, "/notifications": -1014064871,
	}
	for _, h := range recorded(t).Hashes {
		hashes[h.NSP] = h.Hash
		if got := nodewire.StreamName("s", h.NSP, 4, true); got != h.Of4 {
			t.Errorf("%q: %s, want %s", h.NSP, got, h.Of4)
		}
	}
	for nsp, want := range hashes {
		if got := nodewire.StreamHash(nsp); got != want {
			t.Errorf("%q: %d, want %d", nsp, got, want)
		}
	}
	for _, tt := range []struct {
		nsp        string
		count      int
		compatible bool
		want       string
	}{
		{"/my-namespace", 1, true, "socket.io"},
		{"/my-namespace", 0, false, "socket.io"},
		{"/my-namespace", 4, true, "socket.io--3"},
		{"/my-namespace", 4, false, "socket.io-1"},
		{"/chat", 4, true, "socket.io-3"},
		{"/chat", 4, false, "socket.io-3"},
	} {
		if got := nodewire.StreamName("socket.io", tt.nsp, tt.count, tt.compatible); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
