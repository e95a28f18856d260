package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	last, next := "", map[string]int{}
	for _, e := range s.events() {
		switch {
		case e.offset == "":
			without++
		case last != "" && !s.log.Newer(e.offset, last):
			s.t.Fatalf("%s: %v does not follow %s", name, e, last)
		default:
			last = e.offset
		}
		who, number, _ := strings.Cut(e.data, " ")
		if senders[who] == 0 {
			continue
		}
		if want := fmt.Sprint(next[who]); number != want {
			s.t.Fatalf("%s: %s's number %s instead of %s", name, who, number, want)
		}
		next[who]++
	}
	for who, n := range senders {
		if next[who] != n {
			s.t.Errorf("%s: %d of %d of %s", name, next[who], n, who)
		}
	}
	return without
}

// judgeRecovery has clients of one site come back on another, from anywhere:
// they must get exactly what the first has got since, or be told that they
// cannot. It returns how many could.
func judgeRecovery(t *testing.T, from, to *site) (recovered, refused int) {
	t.Helper()
	all := from.events()
	to.waitLen(len(all))
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

// serverEnv makes the test binary a NATS server: its value are options as JSON.
const serverEnv = "SOCKETEER_TEST_NATS_SERVER"

// serverSpec is what a NATS server is started with.
type serverSpec struct {
	Name, StoreDir    string
	Port, ClusterPort int
	Routes            []int
}

// serverMain is the NATS server in a child process.
func serverMain() int {
	var spec serverSpec
	if err := json.Unmarshal([]byte(os.Getenv(serverEnv)), &spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	o := &server.Options{ServerName: spec.Name, Host: "127.0.0.1", Port: spec.Port, JetStream: true, StoreDir: spec.StoreDir, NoLog: true}
	if spec.ClusterPort > 0 {
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: spec.ClusterPort}
		for _, p := range spec.Routes {
			o.Routes = append(o.Routes, server.RoutesFromStr(fmt.Sprint("nats://127.0.0.1:", p))...)
		}
	}
	s, err := server.NewServer(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Start()
	s.WaitForShutdown()
	return 0
}

// natsProcess is a NATS server in a process of its own, which can be killed.
type natsProcess struct {
	t    *testing.T
	spec serverSpec
	cmd  *exec.Cmd
}

func (p *natsProcess) url() string { return fmt.Sprint("nats://127.0.0.1:", p.spec.Port) }

func (p *natsProcess) start() {
	p.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	b, err := json.Marshal(p.spec)
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(exe)
	p.cmd.Env = append(os.Environ(), serverEnv+"="+string(b), "GORACE=halt_on_error=0")
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "the NATS server's port", func() bool {
		nc, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", p.spec.Port))
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
}

func (p *natsProcess) kill() {
	if p.cmd != nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		p.cmd = nil
	}
}

func (p *natsProcess) pause()  { p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *natsProcess) resume() { p.cmd.Process.Signal(syscall.SIGCONT) }

// natsProcesses starts servers with JetStream; more than one are a cluster.
func natsProcesses(t *testing.T, n int) (list []*natsProcess) {
	t.Helper()
	ports := freePorts(t, 2*n)
	for i := range n {
		p := &natsProcess{t: t, spec: serverSpec{
			Name: fmt.Sprint("server", i), StoreDir: filepath.Join(t.TempDir(), fmt.Sprint(i)), Port: ports[i],
		}}
		if n > 1 {
			p.spec.ClusterPort, p.spec.Routes = ports[n+i], ports[n:]
		}
		t.Cleanup(p.kill)
		list = append(list, p)
	}
	for _, p := range list {
		p.start()
	}
	eventually(t, "JetStream", func() bool {
		return withJetStream(list[0].url(), func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.AccountInfo(ctx)
			return err
		}) == nil
	})
	return list
}

func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// withJetStream does something over a connection of its own.
func withJetStream(url string, f func(context.Context, jetstream.JetStream) error) error {
	nc, err := natsgo.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return f(ctx, js)
}

// traffic has all sites emit until stop is called, which returns how many each
// has sent.
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
	return func() map[string]int { close(done); wg.Wait(); return sent }
}
