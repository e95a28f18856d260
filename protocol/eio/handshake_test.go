package eio_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/protocol/eio"
)

func TestHandshake(t *testing.T) {
	for _, tt := range []struct {
		json      string
		handshake eio.Handshake
	}{
		{
			`{"sid":"ZRTivl2jlJehvV3kAAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`,
			eio.Handshake{
				SID: "ZRTivl2jlJehvV3kAAAA", Upgrades: []string{"websocket"},
				PingInterval: 25 * time.Second, PingTimeout: 20 * time.Second, MaxPayload: 1e6,
			},
		},
		{
			`{"sid":"a\"b€\u0001","upgrades":["websocket","webtransport"],"pingInterval":300,"pingTimeout":1,"maxPayload":0}`,
			eio.Handshake{
				SID: "a\"b€\x01", Upgrades: []string{"websocket", "webtransport"},
				PingInterval: 300 * time.Millisecond, PingTimeout: time.Millisecond,
			},
		},
		{
			`{"sid":"x","upgrades":[],"pingInterval":1,"pingTimeout":2147483647,"maxPayload":9007199254740992}`,
			eio.Handshake{
				SID: "x", Upgrades: []string{},
				PingInterval: time.Millisecond, PingTimeout: 2147483647 * time.Millisecond, MaxPayload: 1 << 53,
			},
		},
	} {
		if got := string(tt.handshake.AppendJSON([]byte("0"))); got != "0"+tt.json {
			t.Errorf("AppendJSON: got %s, want 0%s", got, tt.json)
		}
		got, err := eio.ParseHandshake([]byte(tt.json))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, tt.handshake) {
			t.Errorf("ParseHandshake: got %+v, want %+v", got, tt.handshake)
		}
	}
}

func TestParseHandshakeTolerates(t *testing.T) {
	for _, json := range []string{
		`{"sid":"x","pingInterval":1e3,"pingTimeout":20.5}`,
		`{"sid":"x","upgrades":null,"pingInterval":1,"pingTimeout":1,"extra":{}}`,
	} {
		if _, err := eio.ParseHandshake([]byte(json)); err != nil {
			t.Errorf("%s: %v", json, err)
		}
	}
}

func TestParseHandshakeRefuses(t *testing.T) {
	for _, json := range []string{
		"", "{", "null", "[]", `"x"`, "{}", "{}{}",
		`{"sid":"","pingInterval":1,"pingTimeout":1}`,
		`{"sid":1,"pingInterval":1,"pingTimeout":1}`,
		`{"sid":"x","pingTimeout":1}`,
		`{"sid":"x","pingInterval":1}`,
		`{"sid":"x","pingInterval":-1,"pingTimeout":1}`,
		`{"sid":"x","pingInterval":0,"pingTimeout":1}`,
		`{"sid":"x","pingInterval":1e300,"pingTimeout":1}`,
		`{"sid":"x","pingInterval":1,"pingTimeout":2147483648}`,
		`{"sid":"x","pingInterval":"1","pingTimeout":1}`,
		`{"sid":"x","pingInterval":1,"pingTimeout":1,"maxPayload":-1}`,
		`{"sid":"x","pingInterval":1,"pingTimeout":1,"maxPayload":1e16}`,
		`{"sid":"x","upgrades":"websocket","pingInterval":1,"pingTimeout":1}`,
	} {
		_, err := eio.ParseHandshake([]byte(json))
		var syntax *eio.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: got error %v, want a SyntaxError", json, err)
		}
	}
}
