package eio_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/socketeer-io/socketeer/protocol/eio"
)

func FuzzDecodeText(f *testing.F) {
	for _, tt := range golden {
		f.Add([]byte(tt.text))
	}
	f.Add([]byte("bAQ\nID"))
	f.Add([]byte("bAR=="))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := eio.DecodeText(text)
		if err != nil {
			var syntax *eio.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %T", err)
			}
			return
		}
		if p.Type > eio.Noop || p.Binary && p.Type != eio.Message {
			t.Fatalf("out of bounds: %+v", p)
		}
		again := eio.AppendText(nil, p)
		if !p.Binary && !bytes.Equal(again, text) {
			t.Fatalf("got %q, want %q", again, text)
		}
		// Base64 is not unique: its last bits and line breaks do not count.
		if q, err := eio.DecodeText(again); err != nil || !equal(p, q) {
			t.Fatalf("got %+v, %v, want %+v", q, err, p)
		}
	})
}

func FuzzPackets(f *testing.F) {
	f.Add([]byte("4hello\x1e2\x1ebAQIDBA==\x1e4€"))
	f.Add([]byte("4a\x1e\x1e4b"))
	f.Add([]byte("\x1e"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var packets []eio.Packet
		var failed error
		for p, err := range eio.Packets(payload) {
			if failed != nil {
				t.Fatal("goes on after an error")
			}
			if failed = err; err == nil {
				packets = append(packets, p)
			}
		}
		elements := bytes.Split(payload, []byte{eio.Separator})
		for i, p := range packets {
			if want, err := eio.DecodeText(elements[i]); err != nil || !equal(p, want) {
				t.Fatalf("packet %d: got %+v, want %+v, %v", i, p, want, err)
			}
		}
		if failed != nil {
			if _, err := eio.DecodeText(elements[len(packets)]); err == nil {
				t.Fatalf("element %d is refused: %v", len(packets), failed)
			}
			return
		}
		if len(packets) != len(elements) {
			t.Fatalf("got %d packets, want %d", len(packets), len(elements))
		}
		i := 0
		for p, err := range eio.Packets(eio.AppendPayload(nil, packets...)) {
			if err != nil || i == len(packets) || !equal(p, packets[i]) {
				t.Fatalf("packet %d: got %+v, %v", i, p, err)
			}
			i++
		}
	})
}

func FuzzParseHandshake(f *testing.F) {
	f.Add([]byte(`{"sid":"ZRTivl2jlJehvV3kAAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`))
	f.Add([]byte(`{"sid":"\u0000\ud800","upgrades":[null],"pingInterval":1.5,"pingTimeout":2147483647,"maxPayload":9007199254740992}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := eio.ParseHandshake(b)
		if err != nil {
			return
		}
		if h.SID == "" || h.PingInterval <= 0 || h.PingTimeout <= 0 || h.MaxPayload < 0 {
			t.Fatalf("out of bounds: %+v", h)
		}
		data := h.AppendJSON(nil)
		if !json.Valid(data) {
			t.Fatalf("invalid: %s", data)
		}
		again, err := eio.ParseHandshake(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(again.Upgrades) == 0 {
			again.Upgrades = h.Upgrades
		}
		if !reflect.DeepEqual(again, h) {
			t.Fatalf("got %+v, want %+v", again, h)
		}
	})
}
