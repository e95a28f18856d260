package redisstream_test

import (
	"fmt"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// BenchmarkAppend keeps messages, some of which are always under way, until they
// have come back.
func BenchmarkAppend(b *testing.B) {
	r := redistest.Standalone(b)
	for _, together := range []int{1, 100} {
		b.Run(fmt.Sprint(together, " at once"), func(b *testing.B) {
			s := attach(b, start(b, redisstream.Options{URLs: []string{r.URL()}}), "/")
			turn := make(chan struct{}, together)
			m := &adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{"r"}}, Data: []byte(`["event",{"text":"hello"}]`)}
			b.ReportAllocs()
			for b.Loop() {
				turn <- struct{}{}
				if err := s.l.Append(m, func(offset string) {
					if offset == "" {
						b.Error("not kept")
					}
					<-turn
				}); err != nil {
					b.Fatal(err)
				}
			}
			for range together {
				turn <- struct{}{}
			}
		})
	}
}
