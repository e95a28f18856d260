package nats_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/adapter/nats"
	"github.com/socketeer-io/socketeer/cluster"
)

// logged collects a log.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// eventually waits for a condition that no event tells of.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx := patient(tb)
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

// freeAddr returns an address that nobody listens on, and whose port the
// system will not pick for anybody meanwhile.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		addr := fmt.Sprint("127.0.0.1:", 20000+mathrand.N(10000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	tb.Fatal("no free port")
	return ""
}

func TestClusterAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = nats.New(patient(t), nats.Options{ClusterAddr: l.Addr().String()})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []nats.Options{
		{URL: "nats://x", Peers: []string{"a:1"}}, {URL: "nats://x", ClusterAddr: "a:1"},
		{ClusterAddr: "nonsense"}, {ClusterAddr: "a:70000"}, {Peers: []string{"no-port"}}, {Peers: []string{":1"}},
		{ClusterName: "two words"}, {MaxMessage: 10}, {MaxMessage: 1 << 30}, {Name: strings.Repeat("x", 300)},
		{HeartbeatInterval: 1, QueueBytes: 10},
	} {
		if c, err := nats.New(patient(t), o); err == nil {
			c.Close(t.Context())
			t.Errorf("%+v was accepted", o)
		} else if !strings.HasPrefix(err.Error(), "socketeer: ") {
			t.Errorf("error %q", err)
		}
	}
}

func TestExternalOutOfReach(t *testing.T) {
	_, err := nats.New(patient(t), nats.Options{URL: "nats://me:secret@" + freeAddr(t)})
	if err == nil || !strings.Contains(err.Error(), "no connection to nats at nats://***@127.0.0.1") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

// The first node of a cluster finds none of its peers. That is said once, and
// they find each other when there is somebody to find.
func TestPeerThatIsNotThereYet(t *testing.T) {
	var log logged
	later := freeAddr(t)
	o := quick("first")
	o.Peers, o.Logger = []string{later}, log.logger()
	first := node(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if err := first.WaitPeers(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "0 of 1 peers") {
		t.Errorf("got %v", err)
	}
	if err := first.Ready(); err != nil {
		t.Errorf("a lone node is not ready: %v", err)
	}
	if n := log.count("Error trying to connect to route"); n != 1 {
		t.Errorf("said %d times that the peer is missing", n)
	}
	o = quick("second")
	o.ClusterAddr = later
	second := node(t, o)
	for _, c := range []*nats.Cluster{first, second} {
		if err := c.WaitPeers(patient(t), 1); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAllNamePeersIncludingThemselves(t *testing.T) {
	peers := []string{freeAddr(t), freeAddr(t), freeAddr(t)}
	var all []*nats.Cluster
	for _, addr := range peers {
		o := quick(addr)
		o.ClusterAddr, o.Peers = addr, peers
		all = append(all, node(t, o))
	}
	for _, c := range all {
		if err := c.WaitPeers(patient(t), 2); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStrangersStayOut(t *testing.T) {
	inside := node(t, quick("inside"))
	for _, change := range []func(*nats.Options){
		func(o *nats.Options) { o.Token = "wrong" },
		func(o *nats.Options) { o.Token = "" },
		func(o *nats.Options) { o.ClusterName = "other" },
	} {
		var log logged
		o := quick("stranger")
		o.Peers, o.Logger = []string{inside.ClusterAddr()}, log.logger()
		change(&o)
		stranger := node(t, o)
		eventually(t, "the refusal", func() bool { return log.count("nats: ") > 0 })
		if n := len(stranger.Members()) + len(inside.Members()); n != 2 {
			t.Errorf("%d members", n)
		}
	}
}

func TestClustersOnOneServerDoNotMix(t *testing.T) {
	url := natsServer(t)
	a := node(t, nats.Options{URL: url, ClusterName: "a"})
	b := node(t, nats.Options{URL: url, ClusterName: "b"})
	b2 := node(t, nats.Options{URL: url, ClusterName: "b"})
	if err := b.WaitPeers(patient(t), 1); err != nil {
		t.Fatal(err)
	}
	if n := len(a.Members()); n != 1 || b2.ClusterAddr() != "" {
		t.Errorf("%d members", n)
	}
}

func TestOpenAddressIsWarnedOf(t *testing.T) {
	for addr, want := range map[string]int{"0.0.0.0:0": 1, ":0": 1, "127.0.0.1:0": 0, "localhost:0": 0} {
		var log logged
		node(t, nats.Options{ClusterAddr: addr, Logger: log.logger()})
		if n := log.count("open to everybody"); n != want {
			t.Errorf("%s: %d warnings, want %d", addr, n, want)
		}
	}
}

func TestMembersTellStateAndLoad(t *testing.T) {
	all := embedded(t, 2)
	all[1].SetCounts(func() cluster.Counts { return cluster.Counts{Connections: 3, Sockets: 5} })
	all[1].SetAddr("https://n1.example")
	events := make(chan cluster.Event, 10)
	defer all[0].Watch(func(e cluster.Event) { events <- e })()
	all[1].SetState(cluster.Draining)
	eventually(t, "the state", func() bool {
		m := all[0].Members()[1]
		return m.State == cluster.Draining && m.Counts.Sockets == 5 && m.Addr == "https://n1.example" && m.Name == "n1" && !m.Self
	})
	if e := <-events; e.Kind != cluster.Changed {
		t.Errorf("got %v", e.Kind)
	}
	if all[0].Tag() == all[1].Tag() || all[0].Name() != "n0" {
		t.Error("identities are mixed up")
	}
	begin := time.Now()
	if err := all[1].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goodbye", func() bool { return len(all[0].Members()) == 1 })
	if d := time.Since(begin); d > time.Second {
		t.Errorf("leaving took %v", d)
	}
	if err := all[1].Ready(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ready after close: %v", err)
	}
}

// pair opens "/" on two nodes; the second has a member in "r".
func pair(t *testing.T, all []*nats.Cluster) (from adapter.Adapter, to *counter) {
	t.Helper()
	for _, c := range all {
		if err := c.WaitPeers(patient(t), len(all)-1); err != nil {
			t.Fatal(err)
		}
	}
	to = &counter{done: make(chan struct{})}
	to.want.Store(1 << 40)
	var sides [2]adapter.Adapter
	for i, l := range []adapter.Local{&counter{}, to} {
		a, err := all[i].Open(patient(t), "/", l)
		if err != nil {
			t.Fatal(err)
		}
		sides[i] = a
	}
	if err := sides[1].Join(patient(t), "r"); err != nil {
		t.Fatal(err)
	}
	return sides[0], to
}

func toRoom(data []byte) *adapter.Message {
	return &adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{"r"}}, Data: data}
}

// An external server that goes away takes readiness with it, and nothing else;
// when it is back, so is everything that was joined.
func TestExternalServerRestarts(t *testing.T) {
	opts := &server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true}
	start := func() *server.Server {
		s, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if !s.ReadyForConnections(patience) {
			t.Fatal("no nats server")
		}
		return s
	}
	s := start()
	var all []*nats.Cluster
	for _, name := range []string{"a", "b"} {
		o := quick(name)
		o.Token, o.URL, o.HeartbeatInterval, o.HeartbeatTimeout = "", s.ClientURL(), 50*time.Millisecond, time.Second
		all = append(all, node(t, o))
	}
	from, to := pair(t, all)
	opts.Port = s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	for _, c := range all {
		eventually(t, "the loss to be noticed", func() bool { return c.Ready() != nil })
		eventually(t, "peers to be given up", func() bool { return c.Stats().Peers == 0 })
	}
	if err := from.Request(patient(t), &adapter.Message{Kind: adapter.Fetch}, nil); err != nil {
		t.Errorf("request alone: %v", err)
	}
	s = start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	for _, c := range all {
		if err := c.WaitPeers(patient(t), 1); err != nil {
			t.Fatal(err)
		}
		eventually(t, "readiness", func() bool { return c.Ready() == nil })
	}
	before := to.n.Load()
	if err := from.Publish(toRoom([]byte(`["again"]`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a message", func() bool { return to.n.Load() > before })
}

func TestTooLargeForTheServer(t *testing.T) {
	url := natsServer(t) // takes 1 MiB
	all := []*nats.Cluster{node(t, nats.Options{URL: url}), node(t, nats.Options{URL: url})}
	from, to := pair(t, all)
	var large *buscluster.TooLargeError
	if err := from.Publish(toRoom(make([]byte, 2<<20))); !errors.As(err, &large) || large.Limit != 1<<20 {
		t.Errorf("got %v", err)
	}
	if err := from.Publish(toRoom(make([]byte, 1000))); err != nil {
		t.Error(err)
	}
	eventually(t, "the smaller one", func() bool { return to.n.Load() == 1 })
}

func TestNodesOverTLS(t *testing.T) {
	cfg := selfSigned(t)
	var log logged
	a := quick("a")
	a.TLS, a.Logger = cfg, log.logger()
	first := node(t, a)
	b := quick("b")
	b.TLS, b.Peers = cfg, []string{first.ClusterAddr()}
	second := node(t, b)
	if err := second.WaitPeers(patient(t), 1); err != nil {
		t.Fatal(err)
	}
	plain := quick("plain")
	plain.Peers = []string{first.ClusterAddr()}
	stranger := node(t, plain)
	eventually(t, "the refusal", func() bool { return log.count("TLS route handshake error") > 0 })
	if n := len(stranger.Members()); n != 1 {
		t.Errorf("%d members without TLS", n)
	}
}

func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

func TestCloseIsIdempotentAndConcurrent(t *testing.T) {
	c := node(t, quick("n"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
