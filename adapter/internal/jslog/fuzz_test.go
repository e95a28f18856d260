package jslog

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

func FuzzDecodeBatch(f *testing.F) {
	b := appendBatch(nil, "0123456789abcdef")
	f.Add(b)
	f.Add(appendRecord(appendRecord(b, record{kindMessage, 7, []byte("body")}), record{kindGap, 1 << 40, nil}))
	f.Fuzz(func(t *testing.T, b []byte) {
		sender, list, err := decodeBatch(b)
		if err != nil {
			return
		}
		again := appendBatch(nil, sender)
		for _, r := range list {
			again = appendRecord(again, r)
		}
		s, l, err := decodeBatch(again)
		if err != nil || s != sender || len(l) != len(list) {
			t.Fatalf("%x became %x: %v", b, again, err)
		}
		for i := range l {
			if l[i].kind != list[i].kind || l[i].number != list[i].number || !bytes.Equal(l[i].body, list[i].body) {
				t.Fatalf("%v became %v", list[i], l[i])
			}
		}
	})
}

func FuzzDecodeSession(f *testing.F) {
	f.Add(appendSaved(nil, &saved{node: "n", nsp: "/", retain: time.Minute, session: adapter.Session{
		SID: "s", PID: "p", Rooms: []string{"s", "", "é"}, Data: []byte("{}"), Live: true,
	}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeSaved(b)
		if err != nil {
			return
		}
		again, err := decodeSaved(appendSaved(nil, v))
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%+v became %+v: %v", v, again, err)
		}
	})
}

func FuzzParseOffset(f *testing.F) {
	f.Add(offset{born: 1 << 60, pos: position{12345, 67}, stored: 1 << 60}.String())
	f.Add("0.0.0.0")
	f.Fuzz(func(t *testing.T, s string) {
		if o, ok := parseOffset(s); ok && o.String() != s {
			t.Errorf("%q is %q", s, o.String())
		}
	})
}
