package sio_test

import (
	"testing"

	"github.com/socketeer-io/socketeer/protocol/sio"
	"github.com/socketeer-io/socketeer/test/hotpath"
)

var hotPath = []hotpath.Op{
	{Name: "decode-event", Allocs: 0, Make: func(tb testing.TB) func() { return decoding(tb, event64) }},
	{Name: "decode-event-with-ack", Allocs: 0, Make: func(tb testing.TB) func() { return decoding(tb, eventAck64) }},
	{Name: "decode-ack", Allocs: 0, Make: func(tb testing.TB) func() { return decoding(tb, `342["hello, how are you today?"]`) }},
	// What is kept of the text, its copy, and a list of the attachments.
	{Name: "decode-event-with-attachment", Allocs: 3, Make: func(tb testing.TB) func() {
		return decoding(tb, eventBytes6, make([]byte, 64))
	}},
	{Name: "encode-event", Allocs: 0, Make: func(tb testing.TB) func() {
		return encoding(tb, sio.Packet{Type: sio.Event}, "message", "lobby", "hello, how are you today?", 7, true)
	}},
	{Name: "encode-ack", Allocs: 0, Make: func(tb testing.TB) func() {
		return encoding(tb, sio.Packet{Type: sio.Ack, ID: 42, HasID: true}, "hello, how are you today?")
	}},
	// The list of the attachments.
	{Name: "encode-event-with-attachment", Allocs: 1, Make: func(tb testing.TB) func() {
		return encoding(tb, sio.Packet{Type: sio.Event}, "upload", "a.png", make([]byte, 64))
	}},
}

func decoding(tb testing.TB, text string, attachments ...[]byte) func() {
	var d sio.Decoder
	b := []byte(text)
	return func() {
		_, ok, err := d.Text(b)
		for _, attachment := range attachments {
			if err == nil {
				_, ok, err = d.Binary(attachment)
			}
		}
		if err != nil || !ok {
			tb.Fatal(ok, err)
		}
	}
}

// encoding makes the text of a packet in memory that is there.
func encoding(tb testing.TB, p sio.Packet, args ...any) func() {
	data, text := make([]byte, 0, 256), make([]byte, 0, 256)
	return func() {
		var err error
		if p.Data, p.Attachments, err = sio.AppendArgs(data, args...); err != nil {
			tb.Fatal(err)
		}
		text = p.AppendText(text[:0])
	}
}

func BenchmarkHotPath(b *testing.B) { hotpath.Bench(b, hotPath) }

func TestAllocs(t *testing.T) { hotpath.Pin(t, hotPath) }
