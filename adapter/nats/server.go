package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/socketeer-io/socketeer/adapter/internal/jslog"
)

const (
	routeUser  = "socketeer" // the other half is Options.Token
	clientUser = "socketeer"
	// readyStep is how often a server that is starting is looked at.
	readyStep = 25 * time.Millisecond
	// tlsTimeout is how long a TLS handshake between nodes may take.
	tlsTimeout = 5 * time.Second
)

// embedded is a NATS server inside this process.
type embedded struct {
	*server.Server
	password string // of the loopback client port, random
}

// startServer starts a server and returns when its ports are open.
func startServer(ctx context.Context, o *Options, serverName string) (*embedded, error) {
	opts, err := serverOptions(o, serverName)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("socketeer: embedded nats: %w", err)
	}
	l := &serverLog{log: o.Logger, fatal: make(chan error, 1)}
	s.SetLoggerV2(l, false, false, false)
	s.Start()
	for !s.ReadyForConnections(readyStep) {
		select {
		case err = <-l.fatal:
		case <-ctx.Done():
			err = context.Cause(ctx)
		default:
			continue
		}
		s.Shutdown()
		s.WaitForShutdown()
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("socketeer: cluster address %s is in use by another process: %w", o.ClusterAddr, err)
		}
		return nil, fmt.Errorf("socketeer: embedded nats on %s: %w", o.ClusterAddr, err)
	}
	return &embedded{Server: s, password: opts.Password}, nil
}

func serverOptions(o *Options, serverName string) (*server.Options, error) {
	host, port, err := splitAddr(o.ClusterAddr)
	if err != nil {
		return nil, err
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	opts := &server.Options{
		ServerName: serverName,
		Host:       "127.0.0.1",
		Port:       server.RANDOM_PORT,
		Username:   clientUser,
		Password:   rand.Text(),
		NoSigs:     true,
		// There is one account, and nobody to listen to the server's events.
		NoSystemAccount: true,
		MaxPayload:      int32(o.MaxMessage),
		Cluster: server.ClusterOpts{
			Name:      o.ClusterName,
			Host:      host,
			Port:      port,
			Advertise: o.ClusterAdvertise,
			TLSConfig: o.TLS,
			// The adapter needs order across subjects, and there is only one
			// account to route: one connection for each pair of nodes.
			PoolSize:    -1,
			Compression: server.CompressionOpts{Mode: server.CompressionOff},
			// Nobody is to connect to the loopback client port of a peer.
			NoAdvertise: true,
		},
	}
	if j := o.JetStream; j != nil {
		// Replicas know each other by the servers' names, and talk over the
		// system account.
		opts.ServerName, opts.NoSystemAccount = "socketeer-"+o.Name, false
		opts.JetStream, opts.StoreDir, opts.JetStreamDomain = true, j.StoreDir, j.Domain
		opts.MaxPayload += jslog.Overhead
	}
	if o.TLS != nil {
		opts.Cluster.TLSTimeout = tlsTimeout.Seconds()
	}
	if o.Token != "" {
		opts.Cluster.Username, opts.Cluster.Password = routeUser, o.Token
	}
	for _, peer := range o.Peers {
		u, err := peerURL(peer, o.Token)
		if err != nil {
			return nil, err
		}
		opts.Routes = append(opts.Routes, u)
	}
	return opts, nil
}

// splitAddr parses "host:port" or ":port".
func splitAddr(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(p)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("socketeer: cluster address %q is not host:port", addr)
	}
	return host, port, nil
}

func peerURL(peer, token string) (*url.URL, error) {
	peer = strings.TrimPrefix(peer, "nats://")
	host, port, err := splitAddr(peer)
	if err != nil || host == "" || port == 0 {
		return nil, fmt.Errorf("socketeer: peer %q is not host:port", peer)
	}
	u := &url.URL{Scheme: "nats", Host: peer}
	if token != "" {
		u.User = url.UserPassword(routeUser, token)
	}
	return u, nil
}

// stop ends the server and waits for it.
func (e *embedded) stop() {
	e.Shutdown()
	e.WaitForShutdown()
}
