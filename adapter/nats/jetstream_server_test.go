package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/internal/nettest"
	"github.com/socketeer-io/socketeer/internal/process"
)

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

// pause stops the server in its tracks: its connections stay, and it does not
// answer.
func (p *natsProcess) pause() {
	p.t.Helper()
	p.frozen(process.Freeze(p.cmd.Process))
}

// resume undoes pause.
func (p *natsProcess) resume() {
	p.t.Helper()
	p.frozen(process.Thaw(p.cmd.Process))
}

// frozen skips the test where processes cannot be stopped.
func (p *natsProcess) frozen(err error) {
	p.t.Helper()
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		p.t.Skip("processes cannot be stopped here")
	case err != nil:
		p.t.Fatal(err)
	}
}

// natsProcesses starts servers with JetStream; more than one are a cluster.
func natsProcesses(t *testing.T, n int) (list []*natsProcess) {
	t.Helper()
	var ports []int // of clients, then of the cluster
	for range 2 * n {
		ports = append(ports, nettest.FreePort(t))
	}
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
