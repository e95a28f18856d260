package redislink_test

import (
	"net"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/internal/nettest"
	"github.com/socketeer-io/socketeer/internal/redislink"
	"github.com/socketeer-io/socketeer/internal/redistest"
)

// TestMasterReplacedDuringDial: what waits for a connection to a master that is
// replaced meanwhile goes to the new one, in order, and the link can be closed.
func TestMasterReplacedDuringDial(t *testing.T) {
	for name, harm := range map[string]func(*nettest.Proxy){
		"swallowed": func(p *nettest.Proxy) { p.Blackhole(true) },
		"refused":   func(p *nettest.Proxy) { p.Refuse(true) },
	} {
		t.Run(name, func(t *testing.T) {
			set := redistest.Sentinel(t)
			old, next := nettest.StartProxy(t, set.Master.Addr()), nettest.StartProxy(t, set.Master.Addr())
			sentinel := set.Sentinels[0]
			// One that has two names for the master can be told where it is.
			watch := func(p *nettest.Proxy) {
				host, port, _ := net.SplitHostPort(p.Addr())
				sentinel.Must("SENTINEL", "MONITOR", "told", host, port, "3")
			}
			watch(old)
			l, _ := open(t, redislink.Options{
				URLs: []string{"redis-sentinel://" + sentinel.Addr() + "/told"}, PublishOnly: true,
				ProbeInterval: 1500 * time.Millisecond, PublishTimeout: 5 * time.Second,
			})
			idle := time.NewTimer(700 * time.Millisecond) // the link looks at connections that were idle for half a second
			<-idle.C
			harm(old)
			old.Cut()
			const count = 100
			answers := make(chan int64, count)
			for i := range count {
				if err := l.Send(l.Client().B().Incr().Key("n").Build(), func(m rueidis.RedisMessage, err error) {
					n, _ := m.AsInt64()
					if err != nil {
						t.Errorf("%d: %v", i, err)
					}
					answers <- n
				}); err != nil {
					t.Fatal(err)
				}
			}
			sentinel.Must("SENTINEL", "REMOVE", "told")
			watch(next)
			timeout := time.After(20 * time.Second)
			for i := range count {
				select {
				case n := <-answers:
					if n != int64(i+1) {
						t.Fatalf("%d was answered by %d", i, n)
					}
				case <-timeout:
					t.Fatalf("nothing became of what was sent: %+v", l.Stats())
				}
			}
			if st := l.Stats(); st.Commands < count || st.DroppedDown+st.DroppedLost+st.DroppedNoOwner != 0 {
				t.Errorf("%+v", st)
			}
			closed := make(chan struct{})
			go func() { l.Close(); close(closed) }()
			select {
			case <-closed:
			case <-time.After(20 * time.Second):
				t.Fatal("the link does not close")
			}
		})
	}
}
