package eio_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/protocol/eio"
)

// golden are packets and their text, both ways.
var golden = []struct {
	text   string
	packet eio.Packet
}{
	{`0{"sid":"x"}`, eio.Packet{Type: eio.Open, Data: []byte(`{"sid":"x"}`)}},
	{"1", eio.Packet{Type: eio.Close}},
	{"2", eio.Packet{Type: eio.Ping}},
	{"2probe", eio.Packet{Type: eio.Ping, Data: []byte("probe")}},
	{"3", eio.Packet{Type: eio.Pong}},
	{"3probe", eio.Packet{Type: eio.Pong, Data: []byte("probe")}},
	{"4", eio.Packet{Type: eio.Message}},
	{"4hello", eio.Packet{Type: eio.Message, Data: []byte("hello")}},
	{"4€", eio.Packet{Type: eio.Message, Data: []byte("€")}},
	{"5", eio.Packet{Type: eio.Upgrade}},
	{"6", eio.Packet{Type: eio.Noop}},
	{"bAQIDBA==", eio.Packet{Type: eio.Message, Data: []byte{1, 2, 3, 4}, Binary: true}},
	{"bAQID", eio.Packet{Type: eio.Message, Data: []byte{1, 2, 3}, Binary: true}},
	{"b+/8=", eio.Packet{Type: eio.Message, Data: []byte{0xfb, 0xff}, Binary: true}},
	{"b", eio.Packet{Type: eio.Message, Binary: true}},
}

func equal(a, b eio.Packet) bool {
	return a.Type == b.Type && a.Binary == b.Binary && bytes.Equal(a.Data, b.Data)
}

func TestGolden(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.text, func(t *testing.T) {
			if got := string(eio.AppendText([]byte("x"), tt.packet)); got != "x"+tt.text {
				t.Errorf("AppendText: got %q", got)
			}
			got, err := eio.DecodeText([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if !equal(got, tt.packet) {
				t.Errorf("DecodeText: got %+v, want %+v", got, tt.packet)
			}
		})
	}
}

func TestDecodeTextRefuses(t *testing.T) {
	for _, text := range []string{"", "7", "9", "a", "abc", "-1", "/", ":", "B", "\x00", "\x1e", "€", "b=", "bA", "bAQI", "b!!!!", "bAQID\x1e"} {
		_, err := eio.DecodeText([]byte(text))
		var syntax *eio.SyntaxError
		if !errors.As(err, &syntax) || syntax.Reason == "" || !strings.HasPrefix(err.Error(), "socketeer: ") {
			t.Errorf("%q: got error %v, want a SyntaxError", text, err)
		}
	}
}

func TestDecodeTextAliases(t *testing.T) {
	b := []byte("4hello")
	p, err := eio.DecodeText(b)
	if err != nil {
		t.Fatal(err)
	}
	b[1] = 'j'
	if string(p.Data) != "jello" {
		t.Errorf("got %q: the data is a copy", p.Data)
	}
}

func TestPayload(t *testing.T) {
	payload := "4hello\x1e2\x1ebAQIDBA==\x1e4€"
	packets := []eio.Packet{
		{Type: eio.Message, Data: []byte("hello")},
		{Type: eio.Ping},
		{Type: eio.Message, Data: []byte{1, 2, 3, 4}, Binary: true},
		{Type: eio.Message, Data: []byte("€")},
	}
	if got := string(eio.AppendPayload(nil, packets...)); got != payload {
		t.Errorf("AppendPayload: got %q, want %q", got, payload)
	}
	i := 0
	for p, err := range eio.Packets([]byte(payload)) {
		if err != nil {
			t.Fatal(err)
		}
		if i == len(packets) || !equal(p, packets[i]) {
			t.Fatalf("packet %d: got %+v", i, p)
		}
		i++
	}
	if i != len(packets) {
		t.Errorf("got %d packets, want %d", i, len(packets))
	}
}

func TestPacketsStopsAtTheFirstError(t *testing.T) {
	for _, tt := range []struct {
		payload string
		valid   int
	}{
		{"", 0},
		{"abc", 0},
		{"\x1e4a", 0},
		{"4a\x1e", 1},
		{"4a\x1e\x1e4b", 1},
		{"4a\x1e4b\x1e7\x1e4c", 2},
		{"4a\x1ebAQI\x1e4c", 1},
	} {
		valid, failed := 0, 0
		for _, err := range eio.Packets([]byte(tt.payload)) {
			if err != nil {
				failed++
			} else {
				valid++
			}
		}
		if valid != tt.valid || failed != 1 {
			t.Errorf("%q: got %d packets and %d errors, want %d and 1", tt.payload, valid, failed, tt.valid)
		}
	}
}

func TestPacketsStopsWithItsCaller(t *testing.T) {
	n := 0
	for range eio.Packets([]byte("4a\x1e4b")) {
		n++
		break
	}
	if n != 1 {
		t.Errorf("got %d packets", n)
	}
}

func TestTypeString(t *testing.T) {
	for typ, want := range map[eio.Type]string{
		eio.Open: "open", eio.Close: "close", eio.Ping: "ping", eio.Pong: "pong",
		eio.Message: "message", eio.Upgrade: "upgrade", eio.Noop: "noop", 7: "type(7)",
	} {
		if got := typ.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
