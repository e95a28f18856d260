package redisstream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter/redisstream"
	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// Messages that name an entry which the reader has not come to are held, up to
// BacklogBytes; more are handed on at once, and counted.
func TestHeldIsBounded(t *testing.T) {
	r := redistest.Standalone(t)
	c := start(t, redisstream.Options{URLs: []string{r.URL()}, BacklogBytes: 100_000})
	attach(t, c, "/")
	const count = 20
	begin := time.Now()
	for i := range count {
		b, err := nodewire.AppendMsgpackEnvelope(nil, &nodewire.Message{
			UID: "0123456789abcdef", NSP: "/", Type: nodewire.Broadcast, RequestID: fmt.Sprint(i, "@99999999999999-0"),
			Data: fmt.Appendf(nil, `["e",%q]`, strings.Repeat("x", 30_000)),
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Must("PUBLISH", "socket.io#/#", string(b))
	}
	const held = 3
	eventually(t, "what does not fit", func() bool { return c.Stats().Overtaken >= count-held })
	if n, took := c.Stats().Overtaken, time.Since(begin); n != count-held || took > 2*time.Second {
		t.Errorf("%d were handed on after %v", n, took)
	}
	eventually(t, "what fits", func() bool { return c.Stats().Overtaken == count })
}
