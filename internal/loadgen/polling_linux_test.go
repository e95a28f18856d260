package loadgen_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

func TestRunPolling(t *testing.T) {
	one, two := []string{newServer(t)}, newCluster(t, 2)
	for name, change := range map[string]func(*loadgen.Config){
		"half":               func(c *loadgen.Config) { c.Polling = 0.5 },
		"all":                func(c *loadgen.Config) { c.Polling = 1 },
		"paced":              func(c *loadgen.Config) { c.Polling, c.Rate = 0.5, 1000 },
		"two loops, servers": func(c *loadgen.Config) { c.Polling, c.Loops, c.Addrs = 0.5, 2, two },
		"large payload": func(c *loadgen.Config) {
			// More than one POST takes.
			c.Polling, c.Payload, c.Inflight, c.Conns, c.Duration = 0.5, loadgen.MaxPayload, 20, 4, time.Second
		},
	} {
		for _, mode := range []loadgen.Mode{loadgen.Echo, loadgen.Rooms, loadgen.Broadcast, loadgen.Direct} {
			if name == "large payload" && mode != loadgen.Echo && mode != loadgen.Direct {
				continue // who polls may fall so far behind the senders that the server gives it up
			}
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				cfg := short(mode, one...)
				cfg.Duration, cfg.Drain = 400*time.Millisecond, 20*time.Second
				change(&cfg)
				r := mustRun(t, cfg)
				checkLoad(t, cfg, r)
				checkPolling(t, cfg, r)
			})
		}
	}
}

func checkPolling(t *testing.T, cfg loadgen.Config, r *loadgen.Report) {
	t.Helper()
	p := r.Polling
	if want := int(cfg.Polling * float64(cfg.Conns)); p == nil || p.Conns < want-1 || p.Conns > want+1 || p.WebSocketConns != cfg.Conns-p.Conns {
		t.Fatalf("%+v, want %d on polling", p, want)
	}
	if p.Messages == 0 || p.Latency.P50 <= 0 || (p.WebSocketMessages == 0) != (p.WebSocketConns == 0) {
		t.Errorf("%+v", p)
	}
	if s := tableOf(t, r); !strings.Contains(s, "  on polling, ms") || !strings.Contains(s, " on WebSocket") {
		t.Error(s)
	}
}

// TestPollingHeartbeat holds polling sessions for longer than an unanswered
// ping would let them live.
func TestPollingHeartbeat(t *testing.T) {
	addr := newServer(t, socketeer.WithPingInterval(50*time.Millisecond), socketeer.WithPingTimeout(5*time.Second))
	cfg := short(loadgen.Idle, addr)
	cfg.Polling = 1
	r := mustRun(t, cfg)
	if r.Hold.Pings == 0 || r.Lost != 0 || r.Polling == nil || r.Polling.Conns != cfg.Conns {
		t.Errorf("%+v, lost %d (%s), %+v", r.Hold, r.Lost, r.LostWhy, r.Polling)
	}
	if s := tableOf(t, r); strings.Contains(s, "on polling, ms") {
		t.Error(s)
	}
}

func TestPollingWithoutPersistentConnections(t *testing.T) {
	io := newServerHandler(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		io.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	cfg := short(loadgen.Echo, srv.Listener.Addr().String())
	cfg.Polling = 1
	checkLoad(t, cfg, mustRun(t, cfg))
}

func TestPollingRefused(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	cfg := short(loadgen.Echo, srv.Listener.Addr().String())
	cfg.Polling = 1
	_, err := loadgen.Run(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), `refused a poll: 404 Not Found "404 page not found`) {
		t.Errorf("got %v", err)
	}
}
