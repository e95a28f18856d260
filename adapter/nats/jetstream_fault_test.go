package nats_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/nats"
)

const logStream = "socketeer-socketeer-log"

// The one NATS server is killed and comes back, with what it had on disk.
func TestJetStreamServerKilled(t *testing.T) {
	t.Parallel()
	for _, keep := range []time.Duration{time.Second, 20 * time.Second} {
		t.Run(fmt.Sprint("kept within ", keep), func(t *testing.T) {
			t.Parallel()
			server := natsProcesses(t, 1)[0]
			sites := attachAll(t, keeping(t, server.url(), 3, nats.JetStreamOptions{KeepTimeout: keep}))
			stop := traffic(sites)
			sites[0].waitLen(500)
			server.kill()
			before := len(sites[0].events())
			if keep == time.Second {
				sites[0].waitLen(before + 100) // without offsets
			}
			server.start()
			eventually(t, "messages to be kept again", func() bool {
				all := sites[0].events()
				return len(all) > before+500 && all[len(all)-1].offset != ""
			})
			check(t, sites, stop(), keep > 10*time.Second)
		})
	}
}

func attachAll(t *testing.T, nodes []*nats.Cluster) (sites []*site) {
	for _, c := range nodes {
		sites = append(sites, attach(t, c, "/"))
	}
	return sites
}

// Of three NATS servers the one that leads the stream is killed, or does not
// answer any more and comes to life again when another leads.
func TestJetStreamLeaderKilled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		keep time.Duration
		end  func(*natsProcess)
		back func(*natsProcess)
	}{
		{"killed, kept within 1s", time.Second, (*natsProcess).kill, (*natsProcess).start},
		{"killed, kept within 20s", 20 * time.Second, (*natsProcess).kill, (*natsProcess).start},
		{"paused, kept within 1s", time.Second, (*natsProcess).pause, (*natsProcess).resume},
		{"paused, kept within 20s", 20 * time.Second, (*natsProcess).pause, (*natsProcess).resume},
	} {
		keep := c.keep
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			servers := natsProcesses(t, 3)
			sites := attachAll(t, spread(t, servers, nats.JetStreamOptions{KeepTimeout: keep}))
			stop := traffic(sites)
			sites[0].waitLen(500)
			leader := leaderOf(t, servers)
			begin := time.Now()
			c.end(leader)
			eventually(t, "messages to be kept again", func() bool {
				ok := 0
				for i, s := range sites {
					data := fmt.Sprint("probe of ", i, " at ", time.Since(begin))
					s.emit(data)
					if s.offsetOf(data) != "" {
						ok++
					}
				}
				return ok == len(sites) && time.Since(begin) > time.Second
			})
			t.Logf("kept again %v after the death", time.Since(begin))
			c.back(leader)
			sent := stop()
			check(t, sites, sent, keep > 10*time.Second)
		})
	}
}

func leaderOf(t *testing.T, servers []*natsProcess) (leader *natsProcess) {
	t.Helper()
	eventually(t, "the stream's leader", func() bool {
		err := withJetStream(servers[0].url(), func(ctx context.Context, js jetstream.JetStream) error {
			s, err := js.Stream(ctx, logStream)
			if err != nil {
				return err
			}
			c := s.CachedInfo().Cluster
			if len(c.Replicas) != 2 {
				t.Errorf("%d replicas", len(c.Replicas))
			}
			for _, p := range servers {
				if p.spec.Name == c.Leader {
					leader = p
				}
			}
			return nil
		})
		return err == nil && leader != nil
	})
	return leader
}

// The NATS server kept the streams in memory and comes back empty. What it had
// taken and a node had not read is lost: nobody is told to have recovered who has
// not, and then everything works again.
func TestJetStreamForgets(t *testing.T) {
	t.Parallel()
	server := natsProcesses(t, 1)[0]
	sites := attachAll(t, keeping(t, server.url(), 2, nats.JetStreamOptions{Storage: nats.Memory}))
	stop := traffic(sites)
	sites[0].waitLen(300)
	before := sites[0].events()[100].offset
	server.kill()
	server.start()
	at := len(sites[0].events())
	eventually(t, "messages to be kept again", func() bool {
		all := sites[0].events()
		return len(all) > at+300 && all[len(all)-1].offset != ""
	})
	sent := stop()
	for i, s := range sites {
		own := fmt.Sprint("s", i)
		s.waitAll(sent)
		_, lost := s.order(fmt.Sprint("node ", i), sent)
		t.Logf("node %d lacks %v", i, lost)
		if lost[own] > 0 { // those it has itself
			t.Errorf("node %d lacks %d of its own", i, lost[own])
		}
	}
	checkRecovery(t, sites, false)
	for _, s := range sites {
		if _, err := s.missed(before); reason(t, err) == "" {
			t.Error("recovered across the loss of the stream")
		}
	}
}

// A server that hangs: what is sent meanwhile comes late, once.
func TestJetStreamHangs(t *testing.T) {
	t.Parallel()
	server := natsProcesses(t, 1)[0]
	sites := attachAll(t, keeping(t, server.url(), 2, nats.JetStreamOptions{}))
	stop := traffic(sites)
	sites[0].waitLen(300)
	for range 3 {
		server.pause()
		at := len(sites[0].events())
		sites[0].waitLen(at + 100) // without offsets, after a second
		server.resume()
		eventually(t, "messages to be kept again", func() bool {
			all := sites[0].events()
			return len(all) > at+200 && all[len(all)-1].offset != ""
		})
	}
	check(t, sites, stop(), false)
}

// A node is killed while it sends. Its client recovers on the other, and when
// that has ended as well, on one that is started afterwards.
func TestJetStreamKilledNodes(t *testing.T) {
	t.Parallel()
	url := jetStreamServer(t)
	other := keeping(t, url, 1, nats.JetStreamOptions{KeepTimeout: patience}, func(o *nats.Options) { o.Name = "survivor" })[0]
	s := attach(t, other, "/")
	k := startChild(t, "a", url)
	if err := k.read(2000); err != nil {
		t.Fatal(err)
	}
	k.kill()
	first, offset := k.got, k.offset
	session, err := s.log.TakeSession(patient(t), "p a")
	if err != nil || session.SID != "s" {
		t.Fatalf("got %+v, %v", session, err)
	}
	session.Live = false
	if err := s.log.SaveSession(patient(t), session); err != nil {
		t.Fatal(err)
	}
	got, err := s.missed(offset)
	if err != nil {
		t.Fatal(err)
	}
	follows(t, "recovered on the other node", numbersOf("a", got...), first)
	other.Close(context.Background())

	fresh := attach(t, keeping(t, url, 1, nats.JetStreamOptions{KeepTimeout: patience})[0], "/")
	if session, err = fresh.log.TakeSession(patient(t), "p a"); err != nil || session.SID != "s" || session.Live {
		t.Fatalf("after all nodes have ended: %+v, %v", session, err)
	}
	again, err := fresh.missed(offset)
	if err != nil || strings.Join(again, ",") != strings.Join(got, ",") {
		t.Fatalf("after all nodes have ended: %d messages of %d, %v", len(again), len(got), err)
	}
	fresh.emit("new")
	fresh.offsetOf("new")
	if again, err = fresh.missed(offset); err != nil || len(again) != len(got)+1 {
		t.Errorf("%d messages, %v", len(again), err)
	}
}

// What is kept and what is not keep the order of their sender, on all nodes, if
// neither is late by more than they wait for each other. A machine that is that
// slow once is not twice.
func TestJetStreamOrderOfAll(t *testing.T) {
	for try := 1; !orderOfAll(t, try == 3); try++ {
		t.Logf("try %d was too slow to tell", try)
	}
}

// orderOfAll reports false if something was too late, unless it must not be.
func orderOfAll(t *testing.T, must bool) bool {
	t.Helper()
	nodes := keeping(t, jetStreamServer(t), 3, nats.JetStreamOptions{KeepTimeout: patience})
	sites := attachAll(t, nodes)
	const each = 300
	var wg sync.WaitGroup
	for i, s := range sites {
		wg.Go(func() {
			for n := range each {
				data := fmt.Sprint("s", i, " ", n)
				if n%7 < 4 {
					s.emit(data)
					continue
				}
				m := toRoom([]byte(data))
				m.Flags.Volatile = true
				if n%7 == 6 {
					m.Target = adapter.Target{}
				}
				if err := s.a.Publish(m); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		})
	}
	wg.Wait()
	sent := map[string]int{}
	for i := range sites {
		sent[fmt.Sprint("s", i)] = each
	}
	late := false
	for i, s := range sites {
		s.waitLen(2*each + each*4/7)
		st := nodes[i].JetStreamStats()
		if late = late || st.Overtaken+st.Unfenced+st.Unkept > 0; late && must || st.Drops.Held > 0 {
			t.Errorf("node %d: %+v", i, st)
		}
	}
	if late && !must {
		return false
	}
	for i, s := range sites {
		own := fmt.Sprint("s", i)
		delete(sent, own) // of its own it is not handed what is not kept
		s.judge(fmt.Sprint("node ", i), sent)
		sent[own] = each
	}
	return true
}

// Many clients that return to a node that has just started cost few reads.
func TestJetStreamStampede(t *testing.T) {
	t.Parallel()
	url := jetStreamServer(t)
	old := attach(t, keeping(t, url, 1, nats.JetStreamOptions{KeepTimeout: patience})[0], "/")
	const count = 3000
	for i := range count {
		old.emit(fmt.Sprint(i))
	}
	all := old.waitLen(count)
	c := keeping(t, url, 1, nats.JetStreamOptions{KeepTimeout: patience}, func(o *nats.Options) { o.Name = "fresh" })[0]
	s := attach(t, c, "/")
	s.emit("live")
	s.waitLen(1)
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			got, err := s.missed(all[i*count/500].offset)
			if want := count - i*count/500; err != nil || len(got) != want || got[want-1] != "live" {
				t.Errorf("client %d got %d, %v; want %d", i, len(got), err, want)
			}
		})
	}
	wg.Wait()
	if s := c.JetStreamStats(); s.Scans > 20 || s.Ends > 100 {
		t.Errorf("the stream was read %d times, and its end %d times, for 500 clients", s.Scans, s.Ends)
	}
}
