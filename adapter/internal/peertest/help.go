package peertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nettest"
)

// Patience is how long anything may take that must happen.
const Patience = 20 * time.Second

// Patient returns a context that lasts as long as anything may take.
func Patient(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	tb.Cleanup(cancel)
	return ctx
}

// Eventually waits for a condition that no event tells of.
func Eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx := Patient(tb)
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

// FreeAddr returns an address of [nettest.FreePort].
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	return fmt.Sprint("127.0.0.1:", nettest.FreePort(tb))
}

// Log collects what is logged. Its zero value is empty; it may be used by
// several goroutines.
type Log struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// Count returns how many times a text was logged.
func (l *Log) Count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// Logger returns a logger whose records are collected.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Listener is a namespace that notes what it is handed.
type Listener chan *adapter.Message

// Handle implements adapter.Local.
func (l Listener) Handle(m *adapter.Message) { l <- m }

// Answer implements adapter.Local.
func (l Listener) Answer(_ context.Context, _ *adapter.Message, reply func(adapter.Response)) {
	reply(adapter.Response{Last: true})
}

// Next waits for a message and returns its data.
func (l Listener) Next(tb testing.TB) []byte {
	tb.Helper()
	select {
	case m := <-l:
		return m.Data
	case <-Patient(tb).Done():
		tb.Fatal("no message")
		return nil
	}
}

// Pair opens the namespace "/" on two nodes; the second has a member in room
// "r".
func Pair(tb testing.TB, sender, receiver adapter.Factory) (from adapter.Adapter, to Listener) {
	tb.Helper()
	to = make(Listener, 1000)
	from, err := sender.Open(Patient(tb), "/", make(Listener, 1000))
	if err != nil {
		tb.Fatal(err)
	}
	a, err := receiver.Open(Patient(tb), "/", to)
	if err != nil {
		tb.Fatal(err)
	}
	if err := a.Join(Patient(tb), "r"); err != nil {
		tb.Fatal(err)
	}
	return from, to
}

// ToRoom is a broadcast to room "r".
func ToRoom(data []byte) *adapter.Message {
	return &adapter.Message{Kind: adapter.Broadcast, Target: adapter.Target{Rooms: []string{"r"}}, Data: data}
}

// SelfSigned returns a configuration for nodes on 127.0.0.1 that are server and
// client to each other.
func SelfSigned(tb testing.TB) *tls.Config {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
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
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}
