package redisstream

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/internal/replay"
)

// history is what a namespace's part of a stream has held lately.
type history struct {
	replay.History[offset]
	on atomic.Bool // clients can come back at all
}

// init says how much is remembered.
func (h *history) init(o *Options) {
	h.Limit, h.Spare, h.Reach = o.HistoryBytes, o.RecoveryBytes, maxMissed
	h.TooMuch = fmt.Errorf("socketeer: more was missed than may be read for clients that come back: RecoveryBytes is %d, and the entries may be %d",
		o.RecoveryBytes, maxMissed)
	h.Forgets = func(bool) replay.Edge { return replay.Exact }
}

// keep turns the history on.
func (h *history) keep(d time.Duration) {
	h.Retain(d)
	h.on.Store(true)
}

func (h *history) logging() bool { return h.on.Load() }

// add appends a message that was read.
func (h *history) add(id offset, m *adapter.Message) {
	if !h.on.Load() {
		h.Skip(id)
		return
	}
	h.Add(replay.Entry[offset]{At: id, Message: m, Read: time.Now()})
}

// retention returns for how long a session is kept.
func (h *history) retention() time.Duration { return max(h.Retention(), time.Millisecond) }
