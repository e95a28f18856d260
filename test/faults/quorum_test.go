package faults_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestEmbeddedJetStreamTwoNodesKilled kills two of three nodes that have JetStream
// of their own, at once, so that nothing can be kept. The third goes on for its
// clients. Those of the killed come back to it meanwhile, or when the two have been
// started again: they have missed nothing, or are told that they may have.
func TestEmbeddedJetStreamTwoNodesKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		flags []string
		long  bool // longer than events wait to be kept, and clients to recover
		spare bool // the one that leads the stream is the one that survives
	}{
		{"for a moment", nil, false, false},
		{"for long", nil, true, true},
		{"for long, kept within 1s", []string{"--nats-jetstream-wait", "1s"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, nodes := startTrio(t, c.flags...)
			q := &quorum{trio: w, survivor: leader(t, nodes)}
			if !c.spare {
				q.survivor = (q.survivor + 1) % len(nodes)
			}
			q.begin(t, nodes)
			q.strike(nodes)
			if c.long {
				q.endure(t, nodes[q.survivor])
			}
			q.heal(t, nodes)
			q.gather(t, nodes, c.long)
			q.judge(t, nodes)
		})
	}
}

// quorum is a trio of which two are killed, with their clients.
type quorum struct {
	*trio
	history
	survivor int
	stays    *listener   // a client of the survivor
	meets    []*listener // clients of the killed that come back to the survivor at once
	waits    []*listener // and those that come back when all nodes are there again
	behind   map[*listener]time.Time
	ids      map[*listener]string
	over     map[*listener]bool // who has started over
	struck   time.Time

	stop    chan struct{}
	senders sync.WaitGroup
	joining sync.WaitGroup
}

func (q *quorum) all() []*listener {
	return slices.Concat([]*listener{q.stays}, q.meets, q.waits)
}

// begin connects a client to the survivor and two to each of the others, and one
// that sends to each.
func (q *quorum) begin(t *testing.T, nodes []*command) {
	t.Helper()
	q.behind, q.ids, q.over = map[*listener]time.Time{}, map[*listener]string{}, map[*listener]bool{}
	q.stop = make(chan struct{})
	want := map[lane]int{}
	for i, n := range nodes {
		if i == q.survivor {
			q.stays = listen(t, "who stays", n.addr)
		} else {
			q.meets = append(q.meets, listen(t, "who comes back at once to another than "+n.name, n.addr))
			q.waits = append(q.waits, listen(t, "who comes back later than "+n.name, n.addr))
		}
	}
	for _, l := range q.all() {
		l.join(t)
		<-l.connected
		q.ids[l] = l.socket.ID()
	}
	for _, n := range nodes {
		s := listen(t, "sender on "+n.name, n.addr)
		want[lane{n.name, said}] = 50
		q.senders.Go(func() { say(&q.history, s, n.name, q.stop) })
	}
	for _, l := range q.all() {
		l.until(t, want)
	}
}

// strike kills all but the survivor at once.
func (q *quorum) strike(nodes []*command) {
	for _, l := range q.meets {
		l.then(nodes[q.survivor].addr)
		q.behind[l] = q.history.behind(l.receiver)
	}
	for _, l := range q.waits {
		l.then("")
		q.behind[l] = q.history.behind(l.receiver)
	}
	q.struck = time.Now()
	var dying sync.WaitGroup
	for i, n := range nodes {
		if i != q.survivor {
			dying.Go(n.kill)
		}
	}
	dying.Wait()
}

// endure waits until the survivor has waited for long enough: what its clients
// send reaches its clients, and who comes back starts over.
func (q *quorum) endure(t *testing.T, survivor *command) {
	t.Helper()
	own := lane{survivor.name, said}
	began := map[lane]int{own: len(q.history.all()[own])}
	q.stays.until(t, began)
	t.Logf("the survivor's clients get what is sent after %v", time.Since(q.struck))
	for _, l := range q.meets {
		if q.returns(t, l) {
			t.Errorf("%s has recovered", l.name)
		}
	}
	t.Logf("those who come back have started over after %v", time.Since(q.struck))
}

// returns waits until a client is back. If it has not recovered, it is having
// itself put into its room, which takes its time if nobody agrees.
func (q *quorum) returns(t *testing.T, l *listener) (recovered bool) {
	t.Helper()
	select {
	case e := <-l.connected:
		if e.recovered != (e.id == q.ids[l]) {
			t.Errorf("%s: recovered %v, id %s was %s", l.name, e.recovered, e.id, q.ids[l])
		}
		if q.over[l] = !e.recovered; q.over[l] {
			q.joining.Go(func() {
				if _, err := l.socket.EmitWithAck(patient(t), "join", said); err != nil {
					t.Errorf("%s does not get into its room: %v", l.name, err)
				}
				l.absent(window{q.behind[l], time.Now()})
			})
		}
		return e.recovered
	case <-time.After(patience):
		t.Fatalf("%s does not come back", l.name)
		return false
	}
}

// heal starts the killed again. The survivor is left alone.
func (q *quorum) heal(t *testing.T, nodes []*command) {
	t.Helper()
	for i := range nodes {
		if i != q.survivor {
			nodes[i] = q.launch(t, i)
		}
	}
	for i, n := range nodes {
		if i != q.survivor {
			n.serves(t)
		}
	}
	t.Logf("all are back after %v", time.Since(q.struck))
}

// gather brings everybody back.
func (q *quorum) gather(t *testing.T, nodes []*command, long bool) {
	t.Helper()
	recovered := 0
	if !long {
		for _, l := range q.meets {
			if q.returns(t, l) {
				recovered++
			}
		}
	}
	for i, l := range q.waits {
		l.then(nodes[(q.survivor+1+i)%len(nodes)].addr)
		if q.returns(t, l) {
			recovered++
		}
	}
	took := time.Since(q.struck)
	t.Logf("all clients are back after %v, %d of %d recovered", took, recovered, len(q.meets)+len(q.waits))
	const most = 12 * time.Second // of the 15 s that events may wait
	if !long && took < most && recovered < len(q.meets)+len(q.waits) {
		t.Errorf("%d of %d recovered", recovered, len(q.meets)+len(q.waits))
	}
	q.joining.Wait()
	t.Logf("all are in their room after %v", time.Since(q.struck))
}

// judge has all nodes send once more, and looks at what everybody has got.
func (q *quorum) judge(t *testing.T, nodes []*command) {
	t.Helper()
	lanes := map[lane]int{{nodes[q.survivor].name, said}: 0}
	for i, n := range nodes {
		if i != q.survivor {
			afterwards := lane{fmt.Sprint(n.name, " again"), said}
			lanes[afterwards] = 0
			s := listen(t, "sender on "+afterwards.sender, n.addr)
			q.senders.Go(func() { say(&q.history, s, afterwards.sender, q.stop) })
			for _, l := range q.all() {
				l.until(t, map[lane]int{afterwards: 20})
			}
		}
	}
	close(q.stop)
	q.senders.Wait()
	progress(t, &q.history, lanes, q.all())
	heard := map[message]bool{} // of the last words of the dead, by anybody
	for _, l := range q.all() {
		for i, n := range nodes {
			for _, number := range l.numbers(lane{n.name, said}) {
				heard[message{lane: lane{n.name, said}, number: number}] = i != q.survivor
			}
		}
	}
	own := lane{nodes[q.survivor].name, said}
	for _, l := range q.all() {
		f := q.check(l.receiver)
		f.lost = slices.DeleteFunc(f.lost, func(m message) bool {
			return m.lane != own && lanes[m.lane] == 0 && !heard[message{lane: m.lane, number: m.number}]
		})
		// A new session gets what comes late, though the one before may have got it.
		f.twice = slices.DeleteFunc(f.twice, func(m message) bool { return q.over[l] && !m.at.IsZero() && m.at.Before(q.struck) })
		f.judge(t, l.receiver, q.struck)
	}
}
