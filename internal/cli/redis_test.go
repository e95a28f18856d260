package cli_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/redistest"
)

// soon is how long the command may take to find out that there is no Redis.
const soon = 20 * time.Second

// TestNoRedis: what is wrong is one line, soon.
func TestNoRedis(t *testing.T) {
	closed := "127.0.0.1:" + strconv.Itoa(freeRange(t, 1))
	one, two := redistest.Standalone(t), redistest.Standalone(t)
	guarded := redistest.Standalone(t, redistest.Options{Password: "open sesame"})
	mute := listener(t) // takes connections and says nothing
	for name, tc := range map[string]struct {
		redis string
		want  []string
	}{
		"closed port":          {"redis://" + closed, []string{closed, "is it running"}},
		"no socket":            {"unix:///does/not/exist.sock", []string{"/does/not/exist.sock"}},
		"silence":              {"redis://" + mute, []string{mute}},
		"no sentinel":          {"redis-sentinel://" + closed + "/mymaster", []string{closed}},
		"silent sentinel":      {"redis-sentinel://" + mute + "/mymaster", []string{mute}},
		"no sentinel but one":  {"redis-sentinel://" + one.Addr() + "/mymaster", []string{one.Addr()}},
		"no cluster":           {"redis://" + one.Addr() + ",redis://" + two.Addr(), []string{"not part of a Redis Cluster"}},
		"a closed cluster":     {"redis://" + closed + ",redis://" + closed, []string{closed}},
		"wrong password":       {"redis://:secret@" + guarded.Addr(), []string{guarded.Addr(), "password"}},
		"a database too large": {"redis://" + one.Addr() + "/99", []string{one.Addr()}},
	} {
		for _, adapter := range []string{"redis", "redis-sharded", "redis-streams"} {
			t.Run(name+"/"+adapter, func(t *testing.T) {
				t.Parallel()
				begun := time.Now()
				p := command(t, []string{"SOCKETEER_LOG_LEVEL=error"}, "serve", "--addr", "127.0.0.1:0", "--admin-addr", "off",
					"--adapter", adapter, "--redis", tc.redis)
				if status := p.status(t); status != 1 {
					t.Errorf("exit status %d", status)
				}
				if took := time.Since(begun); took > soon {
					t.Errorf("it took %v", took)
				}
				text := p.out.String()
				if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "socketeer: ") || strings.Contains(text, "secret") {
					t.Errorf("not one line: %q", text)
				}
				for _, want := range tc.want {
					if !strings.Contains(text, want) {
						t.Errorf("%q lacks %q", text, want)
					}
				}
				t.Logf("%v: %s", time.Since(begun).Round(time.Millisecond), text)
			})
		}
	}
}

// TestUpRedis runs nodes over a Redis of their own, which ends after them.
func TestUpRedis(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
	for _, adapter := range []string{"redis", "redis-sharded", "redis-streams"} {
		t.Run(adapter, func(t *testing.T) {
			first := freeRange(t, 4)
			p := command(t, []string{"TMPDIR=" + t.TempDir()}, "up", "--nodes", "2", "--adapter", adapter,
				"--addr", "127.0.0.1:"+strconv.Itoa(first), "--admin-addr", "127.0.0.1:"+strconv.Itoa(first+2))
			socket := p.sees(t, 1, `^  redis +\d+ +ready +unix://(\S+)`)
			p.sees(t, 1, `^  node-1 +\d+ +ready`)
			p.sees(t, 1, `^  node-2 +\d+ +ready`)
			p.sees(t, 1, `^  The chat is at `)
			if text := p.out.String(); strings.Contains(text, "died") {
				t.Errorf("something died:\n%s", text)
			}
			p.signal(t, os.Interrupt)
			if status := p.status(t); status != 0 {
				t.Errorf("exit status %d\n%s", status, p.out)
			}
			if _, err := os.Stat(socket); !os.IsNotExist(err) {
				t.Errorf("the socket is left: %v", err)
			}
			if !allFree(first, 4) {
				t.Error("a port is still taken")
			}
		})
	}
}

func TestUpWithoutRedisServer(t *testing.T) {
	for _, adapter := range []string{"redis", "redis-sharded", "redis-streams"} {
		p := command(t, []string{"PATH=" + t.TempDir()}, "up", "--adapter", adapter, "--addr", "127.0.0.1:"+strconv.Itoa(freeRange(t, 3)))
		if status := p.status(t); status != 2 {
			t.Errorf("exit status %d", status)
		}
		text := p.out.String()
		if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "socketeer: --adapter "+adapter+" needs redis-server") {
			t.Errorf("got %q", text)
		}
		for _, want := range []string{"apt-get install redis-server", "brew install redis", "--redis redis://HOST:PORT"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q lacks %q", text, want)
			}
		}
	}
}
