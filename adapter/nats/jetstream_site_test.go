package nats_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/nats"
)

// event is a message as a namespace gets it, from its own node or another.
type event struct{ data, offset string }

// site is a namespace on one node, and what it has got.
type site struct {
	t   *testing.T
	a   adapter.Adapter
	log adapter.Log

	mu   sync.Mutex
	seen []event
}

func attach(t *testing.T, c *nats.Cluster, nsp string) *site {
	t.Helper()
	s := &site{t: t}
	var err error
	if s.a, err = c.Open(patient(t), nsp, s); err != nil {
		t.Fatal(err)
	}
	s.log = s.a.(adapter.Log)
	s.log.Retain(time.Minute)
	if err := s.a.Join(patient(t), "r"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) Handle(m *adapter.Message) { s.note(string(m.Data), m.Offset) }

func (s *site) Answer(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
	reply(adapter.Response{Last: true})
}

func (s *site) note(data, offset string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, event{data, offset})
}

func (s *site) events() []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event(nil), s.seen...)
}

// emit appends a message to room r.
func (s *site) emit(data string) {
	m := toRoom([]byte(data))
	if err := s.log.Append(m, func(offset string) { s.note(data, offset) }); err != nil {
		s.t.Errorf("append: %v", err)
	}
}

// offsetOf waits for a message, and returns its offset.
func (s *site) offsetOf(data string) (offset string) {
	s.t.Helper()
	eventually(s.t, data, func() bool {
		for _, e := range s.events() {
			if e.data == data {
				offset = e.offset
				return true
			}
		}
		return false
	})
	return offset
}

// waitLen waits for n messages.
func (s *site) waitLen(n int) []event {
	s.t.Helper()
	eventually(s.t, fmt.Sprint(n, " messages"), func() bool { return len(s.events()) >= n })
	return s.events()
}

// waitAll waits for the last message of each sender.
func (s *site) waitAll(sent map[string]int) {
	s.t.Helper()
	for who, n := range sent {
		s.offsetOf(fmt.Sprint(who, " ", n-1))
	}
}

func (s *site) missed(offset string) ([]string, error) {
	list, err := s.log.Missed(patient(s.t), &adapter.Session{SID: "x", Rooms: []string{"x", "r"}}, offset)
	var data []string
	for _, m := range list {
		data = append(data, string(m.Data))
	}
	return data, err
}

func reason(t *testing.T, err error) string {
	t.Helper()
	var u *adapter.Unrecoverable
	if !errors.As(err, &u) {
		if err != nil {
			t.Errorf("error %v is no Unrecoverable", err)
		}
		return ""
	}
	return u.Reason
}

// keptAgain waits until what the site emits is kept.
func (s *site) keptAgain() {
	s.t.Helper()
	n := 0
	eventually(s.t, "messages to be kept again", func() bool {
		n++
		data := fmt.Sprint("probe ", n, " at ", time.Now().UnixNano())
		s.emit(data)
		return s.offsetOf(data) != ""
	})
}

// settled emits until something is kept and can be recovered again.
func (s *site) settled(name string) {
	s.t.Helper()
	n := 0
	eventually(s.t, "a message that is kept", func() bool {
		n++
		data := fmt.Sprint(name, " settles ", n)
		s.emit(data)
		offset := s.offsetOf(data)
		if offset == "" {
			return false
		}
		_, err := s.missed(offset)
		return err == nil
	})
}

// judge checks the history of a site: offsets go up, nothing came twice, and of
// each of the senders everything came, in order. It returns how many had none.
func (s *site) judge(name string, senders map[string]int) (without int) {
	s.t.Helper()
	without, lost := s.order(name, senders)
	for who, n := range lost {
		s.t.Errorf("%s: %d of %d of %s are missing", name, n, senders[who], who)
	}
	return without
}

// order checks only that nothing came twice or out of order. It returns how many
// are missing of whom, too.
func (s *site) order(name string, senders map[string]int) (without int, lost map[string]int) {
	s.t.Helper()
	last, next := "", map[string]int{}
	lost = map[string]int{}
	for _, e := range s.events() {
		switch {
		case e.offset == "":
			without++
		case last != "" && !s.log.Newer(e.offset, last):
			s.t.Fatalf("%s: %v does not follow %s", name, e, last)
		default:
			last = e.offset
		}
		who, text, _ := strings.Cut(e.data, " ")
		if senders[who] == 0 {
			continue
		}
		number, err := strconv.Atoi(text)
		if err != nil || number < next[who] {
			s.t.Fatalf("%s: %s's number %s instead of %d", name, who, text, next[who])
		}
		if number > next[who] {
			lost[who] += number - next[who]
		}
		next[who] = number + 1
	}
	for who, n := range senders {
		if next[who] < n {
			lost[who] += n - next[who]
		}
	}
	return without, lost
}

// judgeRecovery has clients of one site come back on another, from anywhere:
// they must get exactly what the first has got since, or be told that they
// cannot. It returns how many could.
func judgeRecovery(t *testing.T, from, to *site) (recovered, refused int) {
	t.Helper()
	all := from.events()
	to.offsetOf(all[len(all)-1].data)
	for range 60 {
		i := rand.N(len(all))
		if all[i].offset == "" {
			continue
		}
		got, err := to.missed(all[i].offset)
		if err != nil {
			reason(t, err)
			refused++
			continue
		}
		recovered++
		if len(got) < len(all)-i-1 {
			t.Fatalf("after %v: got %d messages of %d", all[i], len(got), len(all)-i-1)
		}
		for k, e := range all[i+1:] {
			if got[k] != e.data {
				t.Fatalf("after %v: %q is number %d, instead of %q", all[i], got[k], k, e.data)
			}
		}
	}
	return recovered, refused
}

// check judges what the sites have got. If all is to be kept, everybody can
// come back from anywhere.
func check(t *testing.T, sites []*site, sent map[string]int, all bool) {
	t.Helper()
	for i, s := range sites {
		s.waitAll(sent)
		without := s.judge(fmt.Sprint("node ", i), sent)
		t.Logf("node %d has got %v, %d messages without an offset", i, sent, without)
		if all && without > 0 {
			t.Errorf("%d messages were not kept on node %d", without, i)
		}
	}
	checkRecovery(t, sites, all)
}

// checkRecovery has clients of each node come back on another.
func checkRecovery(t *testing.T, sites []*site, all bool) {
	t.Helper()
	for i, s := range sites {
		s.settled(fmt.Sprint("node", i))
	}
	for i, s := range sites {
		recovered, refused := judgeRecovery(t, s, sites[(i+1)%len(sites)])
		t.Logf("of the clients of node %d, %d recovered, and %d were told that they could not", i, recovered, refused)
		if all && refused > 0 || recovered == 0 && refused == 0 {
			t.Errorf("%d could not recover", refused)
		}
	}
}

// traffic has all sites emit until stop is called, which returns how many each
// has sent. A test that fails before that stops it, too, before its nodes end.
func traffic(sites []*site) (stop func() map[string]int) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	sent := map[string]int{}
	for i, s := range sites {
		wg.Go(func() {
			who, n := fmt.Sprint("s", i), 0
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for ; ; n++ {
				select {
				case <-done:
					mu.Lock()
					sent[who] = n
					mu.Unlock()
					return
				case <-tick.C:
					s.emit(fmt.Sprint(who, " ", n))
				}
			}
		})
	}
	stop = sync.OnceValue(func() map[string]int {
		close(done)
		wg.Wait()
		return sent
	})
	sites[0].t.Cleanup(func() { stop() })
	return stop
}
