package jslog_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/socketeer-io/socketeer/adapter/internal/jslog"
)

// The stream can be read, and nobody answers what is written, as when its leader
// has lost the others: the node is not ready after a while.
func TestSilentStream(t *testing.T) {
	t.Parallel()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		Users: []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"test.log.>"}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("no nats server")
	}
	nc, err := natsgo.Connect(s.ClientURL(), natsgo.UserInfo("u", "p"), natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, js, "a", func(c *jslog.Config) { c.PublishTimeout = 12 * time.Second })
	begin := time.Now()
	if offset := try(t, l, "/", "unheard"); offset != "" {
		t.Errorf("kept at %s", offset)
	}
	if err := l.Ready(); err != nil {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
	eventually(t, "the node not to be ready", func() bool { return l.Ready() != nil })
	if took := time.Since(begin); took < 8*time.Second {
		t.Errorf("not ready after %v: %v", took, l.Ready())
	}
	eventually(t, "the message to be given up", func() bool { d := l.Stats().Drops; return d.Late+d.Unsure == 1 })
	if n := l.Stats().Replaced; n > 0 {
		t.Errorf("%d connections that answered were replaced", n)
	}
}
