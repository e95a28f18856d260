package engineio_test

import (
	"testing"

	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/test/hotpath"
)

const event = `2["message",{"room":"lobby","text":"hello, how are you today?"}]`

var hotPath = []hotpath.Op{
	{Name: "queue-1", Allocs: 0, Make: func(tb testing.TB) func() { return through(tb, 1) }},
	{Name: "queue-16", Allocs: 0, Make: func(tb testing.TB) func() { return through(tb, 16) }},
	{Name: "queue-100", Allocs: 0, Make: func(tb testing.TB) func() { return through(tb, 100) }},
	// The message, for all who get it. Its bytes are the caller's.
	{Name: "message", Allocs: 1, Make: func(testing.TB) func() {
		b := append(make([]byte, engineio.Headroom), event...)
		return func() { engineio.NewMessage(b) }
	}},
	// And its frames, with the text and the attachment.
	{Name: "message-with-attachment", Allocs: 2, Make: func(testing.TB) func() {
		b, attachments := append(make([]byte, engineio.Headroom), event...), [][]byte{make([]byte, 64)}
		return func() { engineio.NewMessage(b, attachments...) }
	}},
}

// through takes messages through a queue: pushed, gathered and written.
func through(tb testing.TB, messages int) func() {
	m := message(event)
	scratch := make([]byte, 0, 64<<10)
	var q engineio.Queue
	return func() {
		for range messages {
			q.Push(m)
		}
		for q.Len() > 0 {
			q.Advance(len(q.Gather(scratch, false, 0)), false, 0)
		}
		if !q.IsZero() {
			tb.Fatal("the queue is not empty")
		}
	}
}

func BenchmarkHotPath(b *testing.B) { hotpath.Bench(b, hotPath) }

func TestAllocs(t *testing.T) { hotpath.Pin(t, hotPath) }
