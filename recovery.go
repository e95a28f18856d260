package socketeer

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
)

// Recovery is how clients that lost their connection go on where they were:
// with their id, rooms and values, and with the events they missed. The zero
// value means the defaults, which are those of JavaScript.
type Recovery struct {
	// MaxDisconnection is how long a client may stay away, and so for how long
	// events are kept. Default 2 minutes, at least 1 second.
	MaxDisconnection time.Duration
	// RunMiddlewares has the connect middleware run for clients that come back,
	// too: it decides again whether they may. [Socket.Recovered] tells it. By
	// default they are let in as they were when they left.
	RunMiddlewares bool
}

const (
	defaultMaxDisconnection = 2 * time.Minute
	minMaxDisconnection     = time.Second
)

// WithRecovery lets clients that lost their connection recover. The adapter has
// to be an [adapter.Log], as [adapter.Memory] is; else [NewServer] fails.
// Default: off.
//
// With it, each event that is kept has its offset as one more argument, at the
// end, as in JavaScript. Kept are events that are sent by Emit; not those that
// are Volatile or Local, and not those that want an acknowledgement. They are
// delivered when the log has given them their offset, and what is sent after
// them waits until then. Emit to a socket whose client is away and may come
// back is kept and no error.
func WithRecovery(r Recovery) Option {
	return func(o *options) {
		if r.MaxDisconnection == 0 {
			r.MaxDisconnection = defaultMaxDisconnection
		}
		o.recovery = &r
	}
}

func (r *Recovery) validate() error {
	if r != nil && r.MaxDisconnection < minMaxDisconnection {
		return fmt.Errorf("socketeer: recovery after at most %v is not possible: at least %v", r.MaxDisconnection, minMaxDisconnection)
	}
	return nil
}

// useLog makes a namespace keep what it sends, if the server is to recover.
func (n *Namespace) useLog(a adapter.Adapter) error {
	r := n.srv.o.recovery
	if r == nil {
		return nil
	}
	log, ok := a.(adapter.Log)
	if !ok {
		return errors.New("socketeer: WithRecovery needs an adapter that keeps messages, an adapter.Log; this one does not")
	}
	log.Retain(r.MaxDisconnection)
	n.log, n.out = log, &outbox{log: log, counts: &n.srv.recoveries}
	return nil
}

// Recovered reports whether the client came back and the socket goes on where
// it was: with its id, its rooms and its values, see [Recall]. A connect
// middleware may ask, too.
func (s *Socket) Recovered() bool { return s.recovered.Load() }

// RecoveryStats counts since the server's start.
type RecoveryStats struct {
	Recovered  uint64            // clients that came back and missed nothing
	Replayed   uint64            // events that they had missed
	Failed     map[string]uint64 // clients that came back and got a new session, by reason
	Unkept     uint64            // events delivered that could not be kept: who missed them cannot recover
	Refused    uint64            // events not sent because too many waited to be kept, see ErrLogBehind, or the log did not take them
	SaveErrors uint64            // sessions that could not be saved, each time it was tried
}

// Reasons of RecoveryStats.Failed, beside those of [adapter.Unrecoverable].
const (
	// RecoveryInterrupted: the client left again while it came back.
	RecoveryInterrupted = "client left while it recovered"
	// RecoveryRefused: a connect middleware refused it.
	RecoveryRefused = "connect middleware refused"
	// RecoveryRooms: the cluster could not be told of its rooms.
	RecoveryRooms = "rooms cannot be joined"
)

// RecoveryStats returns how recoveries went; see [WithRecovery].
func (s *Server) RecoveryStats() RecoveryStats {
	c := &s.recoveries
	stats := RecoveryStats{
		Recovered: c.recovered.Load(), Replayed: c.replayed.Load(), Failed: map[string]uint64{},
		Unkept: c.unkept.Load(), Refused: c.refused.Load(), SaveErrors: c.saveErrors.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for reason, n := range c.failed {
		stats.Failed[reason] = n
	}
	return stats
}

// recoveryCounts are the counters behind RecoveryStats.
type recoveryCounts struct {
	recovered, replayed, unkept, refused, saveErrors atomic.Uint64

	mu     sync.Mutex
	failed map[string]uint64
}

func (c *recoveryCounts) fail(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = make(map[string]uint64)
	}
	c.failed[reason]++
}
