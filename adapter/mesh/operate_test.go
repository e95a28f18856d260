package mesh_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	buscluster "github.com/socketeer-io/socketeer/adapter/cluster"
	"github.com/socketeer-io/socketeer/adapter/mesh"
)

// listener is a namespace that notes what it is handed.
type listener chan *adapter.Message

func (l listener) Handle(m *adapter.Message) { l <- m }

func (l listener) Answer(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
	reply(adapter.Response{Last: true})
}

// pair opens "/" on the first two nodes; the second has a member in "r".
func pair(t *testing.T, all []*mesh.Cluster) (from adapter.Adapter, to listener) {
	t.Helper()
	to = make(listener, 1000)
	from, err := all[0].Open(patient(t), "/", make(listener, 1000))
	if err != nil {
		t.Fatal(err)
	}
	receiver, err := all[1].Open(patient(t), "/", to)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Join(patient(t), "r"); err != nil {
		t.Fatal(err)
	}
	return from, to
}

func toRoom(data []byte) *adapter.Message {
	return &adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{"r"}}, Data: data}
}

func (l listener) next(t *testing.T) []byte {
	t.Helper()
	select {
	case m := <-l:
		return m.Data
	case <-patient(t).Done():
		t.Fatal("no message")
		return nil
	}
}

func TestPeerThatIsNotThereYet(t *testing.T) {
	var log logged
	later := freeAddr(t)
	o := quick("first")
	o.Peers, o.Logger = []string{later}, log.logger()
	first := node(t, o)
	eventually(t, "the first attempt", func() bool { return log.count("no link to a node yet") == 1 })
	if err := first.Ready(); err != nil {
		t.Errorf("a lone node is not ready: %v", err)
	}
	o = quick("second")
	o.ClusterAddr = later
	know(t, []*mesh.Cluster{first, node(t, o)})
}

// All nodes dial all others, and themselves: there is still one link for each
// two, or messages would arrive twice.
func TestAllNamePeersIncludingThemselves(t *testing.T) {
	peers := []string{freeAddr(t), freeAddr(t), freeAddr(t)}
	all := make([]*mesh.Cluster, len(peers))
	var wg sync.WaitGroup
	for i, addr := range peers {
		wg.Go(func() {
			o := quick(addr)
			o.ClusterAddr, o.Peers = addr, peers
			all[i] = node(t, o)
		})
	}
	wg.Wait()
	know(t, all)
	from, to := pair(t, all)
	for i := range byte(100) {
		if err := from.Publish(toRoom([]byte{i})); err != nil {
			t.Fatal(err)
		}
	}
	for i := range byte(100) {
		if got := to.next(t); got[0] != i {
			t.Fatalf("got %d, want %d", got[0], i)
		}
	}
	for _, c := range all {
		if s := c.Stats(); s.Duplicates != 0 || s.Gaps != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// A link that breaks is made again, and what the peer wants is known again.
func TestLinkBreaks(t *testing.T) {
	first := node(t, quick("first"))
	p := newProxy(t, first.ClusterAddr())
	o := quick("second")
	o.Peers, o.ClusterAdvertise = []string{p.addr}, freeAddr(t) // nobody reaches it directly
	o.HeartbeatTimeout = patience
	second := node(t, o)
	all := []*mesh.Cluster{first, second}
	know(t, all)
	from, to := pair(t, all)
	for range 3 {
		p.cut()
		ctx := patient(t)
		for arrived := false; !arrived; {
			if err := from.Publish(toRoom([]byte("again"))); err != nil {
				t.Fatal(err)
			}
			select {
			case <-to:
				arrived = true
			case <-time.After(10 * time.Millisecond): // it was lost, as it may
			case <-ctx.Done():
				t.Fatal("the link was not made again")
			}
		}
		for len(to) > 0 {
			<-to
		}
	}
}

// A peer that does not keep up loses messages, which are counted, and nothing
// else: those that arrive are in order.
func TestSlowPeer(t *testing.T) {
	first := node(t, mesh.Options{MaxMessage: 64 << 10, SendBytes: 128 << 10, HeartbeatTimeout: patience})
	p := newProxy(t, first.ClusterAddr())
	all := []*mesh.Cluster{first, node(t, mesh.Options{Peers: []string{p.addr}, HeartbeatTimeout: patience})}
	know(t, all)
	from, to := pair(t, all)
	p.stall.Lock()
	sent := uint32(0)
	publish := func() {
		b := make([]byte, 32<<10)
		binary.BigEndian.PutUint32(b, sent)
		sent++
		if err := from.Publish(toRoom(b)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the overflow", func() bool { publish(); return first.Stats().Drops.Bus > 0 })
	p.stall.Unlock()
	last := int64(-1)
	for ctx := patient(t); last < int64(sent)-1; {
		select {
		case m := <-to:
			got := int64(binary.BigEndian.Uint32(m.Data))
			if got <= last {
				t.Fatalf("%d after %d", got, last)
			}
			last = got
		case <-time.After(10 * time.Millisecond):
			publish() // the last one may have been dropped
		case <-ctx.Done():
			t.Fatal("nothing arrives any more")
		}
	}
}

func TestSilentPeer(t *testing.T) {
	var log logged
	first := node(t, mesh.Options{Silence: 300 * time.Millisecond, HeartbeatTimeout: patience, Logger: log.logger()})
	p := newProxy(t, first.ClusterAddr())
	second := node(t, mesh.Options{Peers: []string{p.addr}, Silence: 300 * time.Millisecond, HeartbeatTimeout: patience})
	all := []*mesh.Cluster{first, second}
	know(t, all)
	p.stall.Lock()
	eventually(t, "the end of the link", func() bool { return log.count("the peer is silent") > 0 })
	p.stall.Unlock()
	p.cut()
	from, to := pair(t, all)
	if err := from.Publish(toRoom([]byte("m"))); err != nil {
		t.Fatal(err)
	}
	to.next(t)
}

// proxy passes connections on.
type proxy struct {
	addr  string
	stall sync.RWMutex // locked: nothing passes
	mu    sync.Mutex
	open  []net.Conn
}

// stalling lets what passes wait while the proxy is stalled.
type stalling struct {
	net.Conn
	p *proxy
}

func (s stalling) Write(b []byte) (int, error) {
	s.p.stall.RLock()
	defer s.p.stall.RUnlock()
	return s.Conn.Write(b)
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.open = append(p.open, in, out)
			p.mu.Unlock()
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				wg.Go(func() {
					_, _ = io.Copy(stalling{way[0], p}, struct{ io.Reader }{way[1]})
					way[0].Close()
					way[1].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut()
		wg.Wait()
	})
	return p
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, nc := range p.open {
		nc.Close()
	}
	p.open = nil
}

func TestStrangersStayOut(t *testing.T) {
	var log logged // of both: only one of them knows why
	o := quick("inside")
	o.Logger = log.logger()
	inside := node(t, o)
	for name, tt := range map[string]struct {
		change func(*mesh.Options)
		want   string
	}{
		"wrong token":     {func(o *mesh.Options) { o.Token = "wrong" }, "another token"},
		"no token":        {func(o *mesh.Options) { o.Token = "" }, "another token"},
		"another cluster": {func(o *mesh.Options) { o.ClusterName = "other" }, "its cluster is"},
	} {
		t.Run(name, func(t *testing.T) {
			before := log.count(tt.want)
			o := quick("stranger")
			o.Peers, o.Logger = []string{inside.ClusterAddr()}, log.logger()
			tt.change(&o)
			stranger := node(t, o)
			eventually(t, "the refusal", func() bool { return log.count(tt.want) > before })
			if n := len(stranger.Members()) + len(inside.Members()); n != 2 {
				t.Errorf("%d members", n)
			}
		})
	}
}

// Whoever talks nonsense to the cluster address is sent away.
func TestNonsense(t *testing.T) {
	c := node(t, quick("n"))
	for name, b := range map[string][]byte{
		"HTTP":       []byte("GET / HTTP/1.1\r\n\r\n"),
		"large":      append(binary.BigEndian.AppendUint32(nil, 1<<30), 6, 0),
		"empty":      make([]byte, 100),
		"no hello":   {0, 0, 0, 1, 7},
		"bad hello":  {0, 0, 0, 2, 6, 0xff},
		"data first": {0, 0, 0, 2, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", c.ClusterAddr())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := nc.Write(b); err != nil {
				t.Fatal(err)
			}
			nc.SetReadDeadline(time.Now().Add(patience))
			if n, err := nc.Read(make([]byte, 1)); n != 0 || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %d bytes, %v", n, err)
			}
		})
	}
}

func TestTLSOnly(t *testing.T) {
	var log logged
	o := quick("first")
	o.TLS, o.Logger = selfSigned(t), log.logger()
	first := node(t, o)
	o = quick("plain")
	o.Peers = []string{first.ClusterAddr()}
	stranger := node(t, o)
	eventually(t, "the refusal", func() bool { return log.count("was refused") > 0 })
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

func TestTooLarge(t *testing.T) {
	all := nodes(t, 2, func(o *mesh.Options) { o.MaxMessage = 1 << 20 })
	from, to := pair(t, all)
	var large *buscluster.TooLargeError
	if err := from.Publish(toRoom(make([]byte, 2<<20))); !errors.As(err, &large) || large.Limit != 1<<20 {
		t.Errorf("got %v", err)
	}
	// One that fits takes several reads and a larger buffer than usual.
	if err := from.Publish(toRoom(make([]byte, 900_000))); err != nil {
		t.Error(err)
	}
	if n := len(to.next(t)); n != 900_000 {
		t.Errorf("got %d bytes", n)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]mesh.Options{
		"address":      {ClusterAddr: "nonsense"},
		"peer":         {Peers: []string{"nonsense"}},
		"long address": {Peers: []string{strings.Repeat("h", 600) + ":1"}},
		"long name":    {ClusterName: strings.Repeat("n", 300)},
		"message":      {MaxMessage: 100},
		"queue":        {SendBytes: 2000, MaxMessage: 4000},
	} {
		if c, err := mesh.New(patient(t), o); err == nil {
			t.Errorf("%s: no error", name)
			c.Close(t.Context())
		}
	}
}

func TestClusterAddressInUse(t *testing.T) {
	first := node(t, quick("first"))
	o := quick("second")
	o.ClusterAddr = first.ClusterAddr()
	c, err := mesh.New(patient(t), o)
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
	if err == nil {
		c.Close(t.Context())
	}
}

func TestOpenAddressIsWarnedOf(t *testing.T) {
	var log logged
	node(t, mesh.Options{ClusterAddr: ":0", Logger: log.logger()})
	if log.count("open to everybody") != 1 {
		t.Error("not warned of an open address")
	}
}

func TestGoodbyeLeaves(t *testing.T) {
	all := nodes(t, 2, func(o *mesh.Options) { o.HeartbeatTimeout = time.Hour })
	if err := all[1].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goodbye", func() bool { return len(all[0].Members()) == 1 })
	if err := all[1].Ready(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ready after close: %v", err)
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
