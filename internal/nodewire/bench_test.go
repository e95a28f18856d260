package nodewire_test

import (
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// benchmarked are a chat message to a room, and 1 KiB of text.
func benchmarked() map[string]*nodewire.Message {
	target := adapter.Target{Rooms: []string{"room-17"}}
	chat := `["chat",{"from":"alice","text":"hello, world","at":1700000000123,"tags":["a","b"],"seen":false}]`
	return map[string]*nodewire.Message{
		"chat":   {Type: nodewire.Broadcast, UID: "0123456789abcdef", NSP: "/", Target: target, Data: []byte(chat)},
		"1KiB":   {Type: nodewire.Broadcast, UID: "0123456789abcdef", NSP: "/", Target: target, Data: []byte(`["m","` + strings.Repeat("x", 1024) + `"]`)},
		"binary": {Type: nodewire.Broadcast, UID: "0123456789abcdef", NSP: "/", Target: target, Data: []byte(`["m",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{make([]byte, 1024)}},
	}
}

func benchmark(b *testing.B, f format) {
	b.Helper()
	for name, m := range benchmarked() {
		wire, err := f.encode(nil, m)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("encode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 4096)
			for b.Loop() {
				if buf, err = f.encode(buf[:0], m); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.decode(wire); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkClassicBroadcast(b *testing.B) { benchmark(b, broadcast) }

func BenchmarkEnvelope(b *testing.B) { benchmark(b, envelope) }

func BenchmarkOwn(b *testing.B) {
	m := benchmarked()["chat"]
	wire, err := nodewire.AppendClassicBroadcast(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	json, err := nodewire.AppendEnvelope(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("classic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if uid, ok := nodewire.PeekClassicUID(wire); !ok || string(uid) != m.UID {
				b.Fatal(uid)
			}
		}
	})
	b.Run("envelope", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !nodewire.SentBy(json, m.UID, m.NSP) {
				b.Fatal("not seen")
			}
		}
	})
}
