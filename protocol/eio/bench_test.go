package eio_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/socketeer-io/socketeer/protocol/eio"
	"github.com/socketeer-io/socketeer/test/hotpath"
)

const event = `2["message","hello there, how is everybody doing today?"]`

var hotPath = []hotpath.Op{
	{Name: "decode", Allocs: 0, Make: func(tb testing.TB) func() { return decode(tb, "4"+event) }},
	{Name: "decode-base64", Allocs: 1, Make: func(tb testing.TB) func() {
		attachment := eio.Packet{Binary: true, Data: make([]byte, 64)}
		return decode(tb, string(eio.AppendText(nil, attachment)))
	}},
	{Name: "decode-payload-of-16", Allocs: 0, Make: func(tb testing.TB) func() {
		payload := eio.AppendPayload(nil, sixteen()...)
		return func() {
			for _, err := range eio.Packets(payload) {
				if err != nil {
					tb.Fatal(err)
				}
			}
		}
	}},
	{Name: "encode-payload-of-16", Allocs: 0, Make: func(testing.TB) func() {
		packets, buf := sixteen(), make([]byte, 0, 2048)
		return func() { buf = eio.AppendPayload(buf[:0], packets...) }
	}},
	{Name: "encode-base64", Allocs: 0, Make: func(testing.TB) func() {
		p, buf := eio.Packet{Binary: true, Data: bytes.Repeat([]byte{1}, 64)}, make([]byte, 0, 128)
		return func() { buf = eio.AppendText(buf[:0], p) }
	}},
}

func decode(tb testing.TB, text string) func() {
	b := []byte(text)
	return func() {
		if _, err := eio.DecodeText(b); err != nil {
			tb.Fatal(err)
		}
	}
}

func sixteen() []eio.Packet {
	return slices.Repeat([]eio.Packet{{Type: eio.Message, Data: []byte(event)}}, 16)
}

func BenchmarkHotPath(b *testing.B) { hotpath.Bench(b, hotPath) }

func TestAllocs(t *testing.T) { hotpath.Pin(t, hotPath) }
