package socketeer_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// What one goroutine sends arrives at each socket in that order, whoever else
// sends meanwhile, from whichever node, and in whatever way.
func TestOrderOfOneSender(t *testing.T) {
	const senders, each = 6, 150
	everywhere(t, func(t *testing.T, nodes []*node) {
		members := crowd(t, nodes)
		for i, m := range members {
			join(t, nodes, i, m, "room")
		}
		var wg sync.WaitGroup
		for sender := range senders {
			n := nodes[sender%len(nodes)]
			s := n.socket(t, members[sender%len(nodes)])
			wg.Go(func() {
				for i := range each {
					args := []any{sender, i}
					var err error
					switch i % 5 {
					case 0:
						err = n.Emit("n", args...)
					case 1:
						err = n.To("room").Emit("n", args...)
					case 2:
						err = n.To(members[0].id, members[1].id, members[2].id).Emit("n", args...)
					case 3: // two that are one for each receiver
						if err = s.Emit("n", args...); err == nil {
							err = s.Broadcast().Emit("n", args...)
						}
					case 4:
						err = n.To("room").Emit("n", append(args, strings.Repeat("x", 3000), []byte{1})...)
					}
					if err != nil {
						t.Errorf("sender %d: %v", sender, err)
					}
				}
			})
		}
		for _, m := range members {
			var next [senders]int
			for range senders * each {
				args := decode(t, m.next())
				sender, i := int(args[1].(float64)), int(args[2].(float64))
				if i != next[sender] {
					t.Fatalf("event %d of sender %d came instead of %d", i, sender, next[sender])
				}
				next[sender]++
			}
		}
		wg.Wait()
	})
}

// Events of one client are handled in order, and so are the answers.
func TestOrderOfOneClient(t *testing.T) {
	n := start(t)
	n.On("event", answer("ok"))
	c := client(t, n, "/")
	for i := range 2000 {
		c.ws.Append(fmt.Appendf(nil, `42%d["event",%d]`, i, i), false)
	}
	must(t, c.ws.Flush())
	for i := range 2000 {
		if got := c.next(); got.ID != uint64(i) {
			t.Fatalf("answer %d came instead of %d", got.ID, i)
		}
	}
}
