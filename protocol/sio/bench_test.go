package sio_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Texts of 64 bytes.
const (
	event64     = `2["message",{"room":"lobby","text":"hello, how are you today?"}]`
	eventAck64  = `2/chat,42["message",{"room":"lobby","text":"hello, are you ok?"}]`
	eventBytes6 = `51-["upload",{"name":"a.png","body":{"_placeholder":true,"num":0}}]`
)

func BenchmarkDecode(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"event64", event64},
		{"event64+ack", eventAck64},
		{"event16KiB", `2["message","` + strings.Repeat("lorem ipsum dolor sit amet, ", 585) + `"]`},
		{"event16KiB-utf8", `2["message","` + strings.Repeat("löräm ipsüm dölör sit ämät ", 485) + `"]`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			var d sio.Decoder
			text := []byte(bb.text)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, err := d.Text(text); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
		})
	}
	b.Run("binary", func(b *testing.B) {
		var d sio.Decoder
		text, attachment := []byte(eventBytes6), make([]byte, 64)
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := d.Text(text); err != nil {
				b.Fatal(err)
			}
			if _, ok, err := d.Binary(attachment); err != nil || !ok {
				b.Fatal(ok, err)
			}
		}
	})
}

// BenchmarkValid is the yardstick for BenchmarkDecode.
func BenchmarkValid(b *testing.B) {
	text := []byte(event64[1:])
	b.ReportAllocs()
	for b.Loop() {
		if !json.Valid(text) {
			b.Fatal("invalid")
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	type say struct {
		Room string `json:"room"`
		Text string `json:"text"`
	}
	text := "hello, how are you today?"
	for _, bb := range []struct {
		name string
		args []any
	}{
		{"strings", list("message", "lobby", text, 7, true)},
		{"struct", list("message", say{"lobby", text})},
		{"map", list("message", map[string]any{"room": "lobby", "text": text})},
		{"raw", list("message", json.RawMessage(`{"room":"lobby","text":"hello, how are you today?"}`))},
		{"bytes", list("message", []byte(text))},
		{"struct-bytes", list("message", file{Name: "a.png", Body: []byte(text)})},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := sio.Encode(bb.args...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkArgs(b *testing.B) {
	data := []byte(event64[1:])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sio.Args(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeArg(b *testing.B) {
	attachments := [][]byte{make([]byte, 64)}
	for _, bb := range []struct {
		name, raw   string
		attachments [][]byte
		v           any
	}{
		{"string", `"hello, how are you today?"`, nil, new(string)},
		{"int", "12345", nil, new(int)},
		{"struct", `{"name":"hello, how are you today?","age":7}`, nil, new(user)},
		{"any", `{"name":"hello, how are you today?","age":7}`, nil, new(any)},
		{"bytes", ph(0), attachments, new([]byte)},
		{"struct-bytes", `{"name":"a.png","body":` + ph(0) + `}`, attachments, new(file)},
		{"any-bytes", `{"name":"a.png","body":` + ph(0) + `}`, attachments, new(any)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			raw := []byte(bb.raw)
			b.ReportAllocs()
			for b.Loop() {
				if err := sio.DecodeArg(raw, bb.attachments, bb.v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
