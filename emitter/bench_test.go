package emitter_test

import (
	"errors"
	"testing"

	"github.com/socketeer-io/socketeer/emitter"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// BenchmarkEmit is an event to a room until Redis has it, with as many as Redis
// takes at once.
func BenchmarkEmit(b *testing.B) {
	r := redistest.Standalone(b)
	for _, mode := range []emitter.Mode{emitter.Classic, emitter.Sharded, emitter.Streams} {
		b.Run(mode.String(), func(b *testing.B) {
			e := open(b, emitter.Options{URLs: []string{r.URL()}, Mode: mode, BacklogBytes: 4 << 20})
			room := e.To("room")
			value := map[string]any{"id": 17, "text": "hello"}
			b.ReportAllocs()
			for b.Loop() {
				err := room.Emit("news", value)
				if errors.Is(err, emitter.ErrBacklog) {
					must(b, e.Flush(patient(b)))
					err = room.Emit("news", value)
				}
				must(b, err)
			}
			must(b, e.Flush(patient(b)))
		})
	}
}
