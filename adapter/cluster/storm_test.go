package cluster_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/socketeer-io/socketeer/adapter"
)

// The clients of a node that was cut off come back together on a node that kept
// nothing of it. What is read follows what was missed, not how many missed it.
func TestStorm(t *testing.T) {
	const clients, messages = 5000, 300
	all := places(t, 5, nil)
	dead := all[0]
	offset := make(chan string, 1)
	if err := dead.log.Append(&adapter.Message{Kind: adapter.Broadcast, Data: []byte("first")}, func(o string) { offset <- o }); err != nil {
		t.Fatal(err)
	}
	from := <-offset
	var wg sync.WaitGroup
	for g := range 50 {
		wg.Go(func() {
			for i := g; i < clients; i += 50 {
				s := &adapter.Session{SID: fmt.Sprint("s", i), PID: fmt.Sprint("p", i), Rooms: []string{fmt.Sprint("r", i%10)}, Data: []byte("{}"), Live: true}
				if err := dead.log.SaveSession(soon(t), s); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range messages {
		p := all[i%2]
		<-p.emit(t, fmt.Sprint(i), fmt.Sprint("r", i%10))
	}
	dead.bus.Cut(true)
	waitFor(t, "the death to be noticed", func() bool { return all[4].node.Stats().Peers == 3 })
	before := make([]uint64, len(all))
	for i, p := range all {
		before[i] = p.node.Stats().Log.Served
	}
	var recovered atomic.Int64
	for i := range clients {
		wg.Go(func() {
			p := all[3+i%2]
			s, err := p.log.TakeSession(soon(t), fmt.Sprint("p", i))
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			missed, err := p.log.Missed(soon(t), s, from)
			switch {
			case err != nil:
				t.Errorf("client %d: %v", i, err)
			case len(missed) != messages/10 || s.Live:
				t.Errorf("client %d: %d messages, live %v", i, len(missed), s.Live)
			default:
				recovered.Add(1)
			}
		})
	}
	wg.Wait()
	var served, rounds uint64
	for i, p := range all {
		s := p.node.Stats().Log
		served += s.Served - before[i]
		rounds += s.Rounds
	}
	t.Logf("%d clients recovered with %d reads in %d rounds", recovered.Load(), served, rounds)
	if served > 20 {
		t.Errorf("%d reads for %d messages", served, messages)
	}
}
