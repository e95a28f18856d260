package wsconn_test

import (
	"strings"
	"testing"

	"github.com/socketeer-io/socketeer/internal/wsconn"
	"github.com/socketeer-io/socketeer/test/hotpath"
)

// event is an event of 64 bytes as a client's message.
var event = `42["message",{"room":"lobby","text":"hello, how are you today?"}]`

var hotPath = []hotpath.Op{
	{Name: "parse", Allocs: 0, Make: func(tb testing.TB) func() { return feed(tb, 0, frame(fin|opText, event)) }},
	{Name: "parse-16-in-a-read", Allocs: 0, Make: func(tb testing.TB) func() {
		return feed(tb, 0, []byte(strings.Repeat(string(frame(fin|opText, event)), 16)))
	}},
	{Name: "parse-16KiB", Allocs: 0, Make: func(tb testing.TB) func() {
		return feed(tb, 0, frame(fin|opText, strings.Repeat(event, 250)))
	}},
	// The message is put together.
	{Name: "parse-split-read", Allocs: 1, Make: func(tb testing.TB) func() { return feed(tb, 20, frame(fin|opText, event)) }},
	{Name: "frame", Allocs: 0, Make: func(testing.TB) func() {
		payload, buf := []byte(event), make([]byte, 0, 128)
		return func() { buf = wsconn.AppendFrame(buf[:0], payload, false) }
	}},
	{Name: "frame-header", Allocs: 0, Make: func(tb testing.TB) func() {
		b := make([]byte, wsconn.MaxHeader)
		return func() {
			if wsconn.PutHeader(b, len(event)) != wsconn.MaxHeader-2 {
				tb.Fatal("the header has not two bytes")
			}
		}
	}},
}

// feed has a parser read frames, which it overwrites, over and over; if first
// is not 0, in two parts.
func feed(tb testing.TB, first int, frames []byte) func() {
	p, buf := wsconn.NewParser(1<<20, false), make([]byte, len(frames))
	return func() {
		copy(buf, frames)
		if err := p.Feed(buf[:first], sink{}); err != nil {
			tb.Fatal(err)
		}
		if err := p.Feed(buf[first:], sink{}); err != nil {
			tb.Fatal(err)
		}
	}
}

// sink is a handler of messages that forgets them.
type sink struct{ wsconn.Handler }

func (sink) Message([]byte, bool) error { return nil }

func BenchmarkHotPath(b *testing.B) { hotpath.Bench(b, hotPath) }

func TestAllocs(t *testing.T) { hotpath.Pin(t, hotPath) }
