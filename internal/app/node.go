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
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/cluster"
	"github.com/socketeer-io/socketeer/internal/app/chat"
	"github.com/socketeer-io/socketeer/internal/app/config"
)

// Node is one running server process's insides. Make it with [Start].
type Node struct {
	cfg       config.Config
	log       *slog.Logger
	advertise string
	members   membership
	io        *socketeer.Server
	chat      *chat.Chat // nil unless that is the application
	ballast   []byte     // only held

	phase             atomic.Int32 // of type phase
	public, operators *http.Server // operators may be nil
	addr, adminAddr   string       // actual addresses
	serving           sync.WaitGroup
	failed            chan error // a listener has given up
}

type phase int32

const (
	starting phase = iota
	running
	draining
)

const (
	// headerTimeout bounds how long a client may take to send a request's
	// header. There is no bound on requests as a whole: polls take their time.
	headerTimeout = 10 * time.Second
	// cutTimeout is how long goodbyes may take when time is up.
	cutTimeout = time.Second
)

// Start starts a node and returns when it serves. The context bounds the
// start. What it logs afterwards goes to log.
func Start(ctx context.Context, cfg config.Config, log *slog.Logger) (*Node, error) {
	n := &Node{cfg: cfg, log: log, failed: make(chan error, 2), ballast: newBallast()}
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
	n.addr = public.Addr().String()
	n.advertise = advertised(n.cfg.Advertise, public.Addr())
	n.public = newHTTPServer(n.log)
	if n.cfg.AdminAddr != "" {
		operators, err := listen(ctx, "admin-addr", n.cfg.AdminAddr)
		if err != nil {
			return errors.Join(err, public.Close())
		}
		n.adminAddr = operators.Addr().String()
		n.operators = newHTTPServer(n.log)
		n.operators.Handler = n.admin()
		n.serve(n.operators, operators)
	}
	members, err := join(ctx, n.cfg, n.advertise, n.log)
	if err == nil {
		n.members = members
		err = n.build()
	}
	if err != nil {
		return errors.Join(err, public.Close())
	}
	n.phase.Store(int32(running))
	n.serve(n.public, public)
	n.log.Info("serving", "app", n.cfg.App, "url", "http://"+n.advertise, "admin", n.adminAddr, "adapter", n.cfg.Cluster.Adapter)
	return nil
}

func newHTTPServer(log *slog.Logger) *http.Server {
	return &http.Server{
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// Headers are kept for every session.
		MaxHeaderBytes: 16 << 10,
	}
}

func (n *Node) serve(s *http.Server, l net.Listener) {
	n.serving.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.failed <- fmt.Errorf("socketeer: serving %s: %w", l.Addr(), err)
		}
	})
}

// Addr is where clients connect, with the actual port.
func (n *Node) Addr() string { return n.addr }

// AdminAddr is where operators connect, with the actual port; empty if nowhere.
func (n *Node) AdminAddr() string { return n.adminAddr }

// Failed yields an error when a listener gives up.
func (n *Node) Failed() <-chan error { return n.failed }

// StopTime is how long Stop may take with this configuration: the time to give
// its context.
func StopTime(cfg config.Config) time.Duration { return cfg.DrainDelay + max(cfg.Drain, time.Second) }

// Stop drains the node: it says that it is not ready any more, and after
// DrainDelay refuses new sessions and sends its clients away at an even pace,
// until shortly before ctx's deadline at most. It stops listening as soon as no
// client needs that, and in the end leaves the cluster. When ctx ends, the rest
// is cut, and its cause returned.
func (n *Node) Stop(ctx context.Context) error {
	var err error
	if phase(n.phase.Swap(int32(draining))) == running {
		n.members.SetState(cluster.Draining)
		n.log.Info("draining", "connections", n.io.Engine().Count())
		err = n.tellBalancers(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	n.serving.Go(func() { n.stopListening(ctx) })
	err = errors.Join(err, n.io.Shutdown(ctx))
	cancel()
	err = errors.Join(err, n.cut())
	n.log.Info("stopped")
	return err
}

// tellBalancers waits until those who ask for readiness will have done so.
func (n *Node) tellBalancers(ctx context.Context) error {
	t := time.NewTimer(n.cfg.DrainDelay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stopListening closes the public listener when only WebSockets are left, and
// lets the requests that are under way end until ctx does.
func (n *Node) stopListening(ctx context.Context) {
	select {
	case <-n.io.HTTPDone():
	case <-ctx.Done():
	}
	_ = n.public.Shutdown(ctx) // an error says that ctx has ended: cut does the rest
}

// cut ends what is left, of a node that may not have started.
func (n *Node) cut() error {
	ctx, cancel := context.WithTimeout(context.Background(), cutTimeout)
	defer cancel()
	var errs []error
	if n.chat != nil {
		n.chat.Close()
	}
	if n.io != nil {
		errs = append(errs, n.io.Close())
	}
	if n.public != nil {
		errs = append(errs, n.public.Close())
	}
	if n.members != nil {
		errs = append(errs, n.members.Close(ctx))
	}
	if n.operators != nil {
		errs = append(errs, n.operators.Close())
	}
	n.serving.Wait()
	return errors.Join(errs...)
}
