// Package app puts a node together: a server, its place in the cluster, an
// application, and the listeners.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rs/cors"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/adapter/nats"
	"github.com/socketeer-io/socketeer/cluster"
	"github.com/socketeer-io/socketeer/internal/app/bench"
	"github.com/socketeer-io/socketeer/internal/app/chat"
	"github.com/socketeer-io/socketeer/internal/app/clientbundle"
	"github.com/socketeer-io/socketeer/internal/app/config"
)

// Node is one running server process's insides. Make it with [Start].
type Node struct {
	cfg       config.Config
	log       *slog.Logger
	identity  cluster.Identity // of a node without a cluster
	cluster   *nats.Cluster    // nil without one
	io        *socketeer.Server
	chat      *chat.Chat // nil unless that is the application
	advertise string
	started   time.Time
	draining  atomic.Bool

	public, operators *http.Server // operators may be nil
	failed            chan error   // a listener has given up
}

// headerTimeout bounds how long a client may take to send a request's header.
// There is no bound on requests as a whole: polls take their time.
const headerTimeout = 10 * time.Second

// Start starts a node and returns when it serves. The context bounds the
// start.
func Start(ctx context.Context, cfg config.Config, log *slog.Logger) (*Node, error) {
	n := &Node{cfg: cfg, log: log, started: time.Now(), failed: make(chan error, 2)}
	if err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.cut())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	// Ports first: what is in use is better known before anybody is told.
	public, err := listen(ctx, "addr", n.cfg.Addr)
	if err != nil {
		return err
	}
	var operators net.Listener
	if n.cfg.AdminAddr != "" {
		if operators, err = listen(ctx, "admin-addr", n.cfg.AdminAddr); err != nil {
			return errors.Join(err, public.Close())
		}
	}
	n.advertise = advertised(n.cfg.Advertise, public.Addr())
	err = n.join(ctx)
	if err == nil {
		err = n.build()
	}
	if err != nil {
		if operators != nil {
			err = errors.Join(err, operators.Close())
		}
		return errors.Join(err, public.Close())
	}
	n.serve(public, operators)
	return nil
}

func listen(ctx context.Context, key, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("socketeer: cannot listen on %s %s: %w", key, addr, cause(err))
	}
	return l, nil
}

// cause strips what an error of package net repeats.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// advertised is where others reach this node.
func advertised(configured string, actual net.Addr) string {
	if configured != "" {
		return configured
	}
	host, port, err := net.SplitHostPort(actual.String())
	if err != nil {
		return actual.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}

// join takes the node's place in the cluster.
func (n *Node) join(ctx context.Context) error {
	c := n.cfg.Cluster
	if c.Adapter != config.AdapterNATS {
		var err error
		n.identity, err = cluster.NewIdentity(n.cfg.Name)
		return err
	}
	var err error
	n.cluster, err = nats.New(ctx, nats.Options{
		Name: n.cfg.Name, URL: c.NATS, ClusterName: c.Name, ClusterAddr: c.Addr, Peers: c.Peers, Token: c.Token,
		AdvertiseAddr: n.advertise, Logger: n.log,
	})
	if err != nil {
		return err
	}
	if c.Wait == 0 || !needsPeer(c) {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	if err := n.cluster.WaitPeers(wait, 1); err != nil {
		return fmt.Errorf("socketeer: none of cluster-peers %v answered within %v (cluster-wait; 0s starts alone): %w", c.Peers, c.Wait, err)
	}
	return nil
}

// needsPeer reports whether there are peers besides this node itself.
func needsPeer(c config.Cluster) bool {
	return slices.ContainsFunc(c.Peers, func(p string) bool { return p != c.Addr })
}

// build makes the server and the application.
func (n *Node) build() error {
	e := n.cfg.Engine
	opts := []socketeer.Option{
		socketeer.WithLogger(n.log), socketeer.WithPath(e.Path), socketeer.WithTransports(e.Transports...),
		socketeer.WithPingInterval(e.PingInterval), socketeer.WithPingTimeout(e.PingTimeout),
		socketeer.WithMaxPayload(e.MaxPayload), socketeer.WithSendBuffer(int(e.SendBuffer)),
		socketeer.WithCORS(cors.Options{
			AllowOriginFunc: n.originAllowed, AllowCredentials: true,
			AllowedMethods: []string{http.MethodGet, http.MethodPost},
		}),
	}
	if files, ok := clientbundle.FS(); ok {
		opts = append(opts, socketeer.WithClient(files))
	} else if n.cfg.App == config.AppChat {
		n.log.Warn("built without the browser client, so the chat page cannot connect: use make build")
	}
	if n.cluster != nil {
		opts = append(opts, socketeer.WithAdapter(n.cluster))
	}
	io, err := socketeer.NewServer(opts...)
	if err != nil {
		return err
	}
	n.io = io
	page, err := n.application()
	if err != nil {
		return err
	}
	if n.cluster != nil {
		n.cluster.SetCounts(n.counts)
	}
	mux := http.NewServeMux()
	mux.Handle(e.Path, io)
	mux.Handle("/", page)
	n.public = &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)}
	n.operators = &http.Server{Handler: n.admin(), ReadHeaderTimeout: headerTimeout}
	return nil
}

func (n *Node) application() (http.Handler, error) {
	if n.cfg.App == config.AppBench {
		bench.Mount(n.io)
		return http.NotFoundHandler(), nil
	}
	o := chat.Options{Node: n.cfg.Name, Logger: n.log}
	if n.cluster != nil {
		o.Live = func() (names []string) {
			for _, m := range n.cluster.Members() {
				names = append(names, m.Name)
			}
			return names
		}
	}
	n.chat = chat.Mount(n.io, o)
	return chat.Page(n.cfg.Name, n.cfg.Engine.Path, n.addresses)
}

// addresses are those of the nodes that take clients.
func (n *Node) addresses() []chat.NodeAddr {
	var list []chat.NodeAddr
	for _, m := range n.members() {
		if m.State == cluster.Ready {
			list = append(list, chat.NodeAddr{Name: m.Name, URL: "http://" + m.Addr})
		}
	}
	return list
}

// originAllowed lets in pages of the cluster's own nodes, because a page whose
// node has gone connects to another, and those that are configured.
func (n *Node) originAllowed(origin string) bool {
	for _, allowed := range n.cfg.Engine.CORSOrigins {
		if allowed == "*" || allowed == origin {
			return true
		}
	}
	for _, m := range n.members() {
		if origin == "http://"+m.Addr || origin == "https://"+m.Addr {
			return true
		}
	}
	return false
}

func (n *Node) counts() cluster.Counts {
	if n.io == nil {
		return cluster.Counts{}
	}
	sockets := 0
	for nsp := range n.io.Namespaces() {
		sockets += nsp.Len()
	}
	return cluster.Counts{Connections: n.io.Engine().Count(), Sockets: sockets}
}

func (n *Node) serve(public, operators net.Listener) {
	run := func(s *http.Server, l net.Listener) {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.failed <- fmt.Errorf("socketeer: serving %s: %w", l.Addr(), err)
		}
	}
	go run(n.public, public)
	attrs := []any{"node", n.cfg.Name, "url", "http://" + n.advertise, "app", n.cfg.App, "adapter", n.cfg.Cluster.Adapter}
	if operators != nil {
		go run(n.operators, operators)
		attrs = append(attrs, "admin", "http://"+operators.Addr().String())
	}
	n.log.Info("serving", attrs...)
}

// Failed yields an error when a listener gives up.
func (n *Node) Failed() <-chan error { return n.failed }

// Stop drains the node: it is not ready any more, its clients are sent away at
// an even pace, and it leaves the cluster. When ctx ends, the rest is cut.
func (n *Node) Stop(ctx context.Context) error {
	n.draining.Store(true)
	if n.cluster != nil {
		n.cluster.SetState(cluster.Draining)
	}
	n.log.Info("draining", "node", n.cfg.Name, "connections", n.io.Engine().Count())
	err := n.io.Shutdown(ctx)
	return errors.Join(err, n.cut())
}

// cutTimeout is how long goodbyes may take when time is up.
const cutTimeout = time.Second

// cut ends what is left, of a node that may not have started.
func (n *Node) cut() error {
	ctx, cancel := context.WithTimeout(context.Background(), cutTimeout)
	defer cancel()
	var errs []error
	if n.chat != nil {
		n.chat.Close()
		n.chat = nil
	}
	if n.io != nil {
		errs = append(errs, n.io.Close())
	}
	if n.public != nil {
		errs = append(errs, n.public.Close(), n.operators.Close())
	}
	if n.cluster != nil {
		errs = append(errs, n.cluster.Close(ctx))
	}
	return errors.Join(errs...)
}
