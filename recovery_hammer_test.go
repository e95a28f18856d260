package socketeer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/protocol/sio"
)

// Clients are cut off again and again, and come back to any node, while
// numbered events flow: from several goroutines on all nodes, to a room, to
// everyone, and to each client. Each must get all of each sender's, once and in
// order.
func TestRecoveryHammer(t *testing.T) {
	withLog(t, []socketeer.Option{socketeer.WithConnectTimeout(time.Minute)}, func(t *testing.T, nodes []*node) {
		const clients, returns = 12, 25
		var mu sync.Mutex
		var everyone []string // ids
		for _, n := range nodes {
			n.OnConnect(func(_ context.Context, s *sock) error { return s.Join(s.Context(), "r") })
		}
		var all []*hammered
		for range clients {
			c := &hammered{t: t, next: map[string]int{}}
			c.returning = arrive(t, nodes[0], "/", "", "")
			c.settled(nodes[0]) // and so joined: what follows is seen by all
			all = append(all, c)
			everyone = append(everyone, c.id)
		}
		stop := make(chan struct{})
		var senders, users sync.WaitGroup
		for i, n := range nodes {
			for kind := range 3 {
				senders.Go(func() {
					who := fmt.Sprintf("%d-%d", i, kind)
					tick := time.NewTicker(2 * time.Millisecond)
					defer tick.Stop()
					for k := 0; ; k++ {
						var err error
						switch kind {
						case 0:
							err = n.To("r").Emit(who, k)
						case 1:
							err = n.Emit(who, k)
						default:
							mu.Lock()
							to := everyone
							mu.Unlock()
							for _, id := range to {
								err = n.To(id).Emit(who, k)
							}
						}
						if err != nil {
							t.Errorf("emit: %v", err)
						}
						select {
						case <-stop:
							return
						case <-tick.C:
						}
					}
				})
			}
		}
		for _, c := range all {
			users.Go(func() {
				for range returns {
					c.take(1 + rand.IntN(40))
					before := c.id
					c.cut()
					c.returning = c.backNow(nodes[rand.IntN(len(nodes))])
					if c.id != before {
						t.Errorf("a client got a new session")
						return
					}
					for _, p := range c.before {
						c.check(p)
					}
				}
				c.take(100)
			})
		}
		users.Wait()
		close(stop)
		senders.Wait()
		allRecovered(t, nodes, clients*returns)
	})
}

// allRecovered checks the nodes' counts: so many have recovered, and nothing
// went wrong.
func allRecovered(t *testing.T, nodes []*node, want uint64) {
	t.Helper()
	var replayed, recovered uint64
	for _, n := range nodes {
		s := n.RecoveryStats()
		replayed, recovered = replayed+s.Replayed, recovered+s.Recovered
		if len(s.Failed) > 0 || s.Unkept > 0 || s.Refused > 0 || s.SaveErrors > 0 {
			t.Errorf("%+v", s)
		}
	}
	if recovered != want || replayed == 0 {
		t.Errorf("%d recovered of %d, %d replayed", recovered, want, replayed)
	}
}

// hammered is a client that checks what it gets.
type hammered struct {
	*returning
	t    testing.TB
	next map[string]int // by sender
	seen atomic.Int64
}

func (c *hammered) take(n int) {
	for range n {
		p := c.member.next()
		c.note(p)
		c.check(p)
	}
}

func (c *hammered) check(p sio.Packet) {
	args := decode(c.t, p)
	who, k := args[0].(string), int(args[1].(float64))
	if want := c.next[who]; k != want {
		c.t.Errorf("sender %s: number %d, not %d", who, k, want)
	}
	c.next[who] = k + 1
	c.seen.Add(1)
}
