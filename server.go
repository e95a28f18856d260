// Package socketeer is a Socket.IO server that scales out.
//
// Stock Socket.IO clients (protocol revision 5, on Engine.IO revision 4)
// connect to any of a cluster's nodes; rooms, broadcasts, acknowledgements and
// the other operations work across all of them, by the adapter that
// [WithAdapter] names.
//
// # Delivery
//
// A message is delivered at most once. Messages to one client keep the order
// in which one goroutine sent them, across transports and nodes. A client that
// is not connected gets nothing, unless it comes back in time and [WithRecovery]
// is on, and one that does not read fast enough is disconnected when its send
// buffer is full.
package socketeer

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/engineio"
	"github.com/socketeer-io/socketeer/internal/hub"
)

// Server is a Socket.IO server: an http.Handler to be mounted at its path, and
// the methods of its namespace "/". Make one with [NewServer].
type Server struct {
	*Namespace // "/"

	o        options
	tag      string
	engine   *engineio.Server
	files    *clientFiles // nil when not served
	pool     *pool
	httpDone chan struct{} // closed with doneOnce
	doneOnce sync.Once

	keeper     *keeper // nil without recovery
	recoveries recoveryCounts

	mu         sync.Mutex // guards the rest
	namespaces map[string]*Namespace
	opening    map[string]chan struct{} // namespaces about to exist
	children   int                      // namespaces made by dynamics
	dynamics   []*Dynamic
	created    []func(*Namespace)
	closed     bool
}

// NewServer returns a server. It does nothing until requests come, and is to
// be closed by Shutdown or Close.
func NewServer(opts ...Option) (*Server, error) {
	o := defaults()
	for _, opt := range opts {
		opt(&o)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		o: o, pool: &pool{}, httpDone: make(chan struct{}),
		namespaces: map[string]*Namespace{}, opening: map[string]chan struct{}{},
	}
	if node, ok := o.adapter.(adapter.Node); ok {
		s.tag = node.Tag()
	} else {
		s.tag = randomID(3)
	}
	if o.client != nil {
		s.files = &clientFiles{files: o.client}
	}
	if o.recovery != nil {
		s.keeper = newKeeper(s, o.recovery.MaxDisconnection)
	}
	engine := o.engine
	engine.Logger, engine.NodeTag, engine.AfterRead = o.logger, s.tag, s.pool.kick
	var err error
	if s.engine, err = engineio.NewServer(engine, s.accept); err != nil {
		return nil, err
	}
	ctx, cancel := s.bounded(context.Background())
	defer cancel()
	if s.Namespace, err = s.open(ctx, "/", nil); err != nil {
		return nil, err
	}
	return s, nil
}

// ServeHTTP serves what is under the server's path: the protocol, and the
// JavaScript client if there is one.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !strings.HasPrefix(r.URL.Path, s.o.path):
		http.NotFound(w, r)
	case s.files != nil && s.files.wants(r):
		s.files.ServeHTTP(w, r)
	default:
		s.engine.ServeHTTP(w, r)
	}
}

// Engine returns the Engine.IO server underneath, for its connections and
// counters.
func (s *Server) Engine() *engineio.Server { return s.engine }

// Of returns the namespace of this name, and makes it if there is none: from
// the template of [Server.OfPattern] if one matches. A leading slash may be left
// out. When the cluster cannot be reached, the namespace works on this node
// alone, which is logged; use Open to be told.
func (s *Server) Of(name string) *Namespace {
	ctx, cancel := s.bounded(context.Background())
	defer cancel()
	n, err := s.Open(ctx, name)
	if err == nil {
		return n
	}
	s.o.logger.Error("namespace is not part of the cluster", "nsp", name, "err", err)
	name = normalize(name)
	n = s.newNamespace(name, alone{}, s.patternFor(name))
	kept, err := s.adopt(n)
	switch {
	case err != nil: // the server has been closed
		return n
	case kept == n:
		s.introduce(n)
	}
	return kept
}

// alone is the adapter of a namespace that did not get one.
type alone struct{ adapter.Adapter }

func (alone) Publish(*adapter.Message) error { return errNoCluster }
func (alone) Request(context.Context, *adapter.Message, func(adapter.Response)) error {
	return errNoCluster
}
func (alone) Join(context.Context, string) error { return nil }
func (alone) Leave(string)                       {}
func (alone) Close() error                       { return nil }

var errNoCluster = errors.New("socketeer: namespace is not part of the cluster")

func normalize(name string) string {
	if !strings.HasPrefix(name, "/") {
		return "/" + name
	}
	return name
}

// Open is Of, with an error when the namespace could not be connected to the
// cluster.
func (s *Server) Open(ctx context.Context, name string) (*Namespace, error) {
	return s.open(ctx, normalize(name), nil)
}

// Namespaces yields the namespaces that exist now on this node.
func (s *Server) Namespaces() iter.Seq[*Namespace] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Values(slices.Collect(maps.Values(s.namespaces)))
}

// OnNamespace registers a function that is called for each namespace made from
// now on, before any of its sockets connects.
func (s *Server) OnNamespace(f func(*Namespace)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created = append(s.created, f)
}

// open finds or makes a namespace. Several callers wait for one of them.
func (s *Server) open(ctx context.Context, name string, parent *Dynamic) (*Namespace, error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, ErrServerClosed
		}
		if n := s.namespaces[name]; n != nil {
			s.mu.Unlock()
			return n, nil
		}
		wait, ok := s.opening[name]
		if !ok {
			if children := s.children; parent != nil && children >= s.o.maxNamespaces {
				s.mu.Unlock()
				return nil, fmt.Errorf("socketeer: there are %d dynamic namespaces already", children)
			}
			s.opening[name] = make(chan struct{})
			s.mu.Unlock()
			if parent == nil {
				parent = s.patternFor(name)
			}
			return s.create(ctx, name, parent)
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// patternFor returns the template by a pattern that the name matches, if there is
// one.
func (s *Server) patternFor(name string) *Dynamic {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.dynamics {
		if d.pattern != nil && d.pattern.MatchString(name) {
			return d
		}
	}
	return nil
}

// create makes a namespace that is marked as opening.
func (s *Server) create(ctx context.Context, name string, parent *Dynamic) (*Namespace, error) {
	n := s.newNamespace(name, nil, parent)
	a, err := s.o.adapter.Open(ctx, name, (*local)(n))
	if err == nil {
		n.adapter = a
		if err = n.useLog(a); err == nil {
			n.opened.Store(true)
			_, err = s.adopt(n)
		}
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}
	s.opened(name)
	if err != nil {
		return nil, err
	}
	s.introduce(n)
	return n, nil
}

// opened lets those go on who wait for a namespace to be made, or removed.
func (s *Server) opened(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.opening[name])
	delete(s.opening, name)
}

// adopt makes n the namespace of its name, and returns the one that is.
func (s *Server) adopt(n *Namespace) (*Namespace, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrServerClosed
	}
	if other := s.namespaces[n.name]; other != nil {
		return other, nil
	}
	s.namespaces[n.name] = n
	if n.parent != nil {
		s.children++
	}
	return n, nil
}

// introduce tells the application of a namespace before it lets clients in.
func (s *Server) introduce(n *Namespace) {
	s.mu.Lock()
	created := slices.Clone(s.created)
	s.mu.Unlock()
	for _, f := range created {
		_ = s.protect(func() error { f(n); return nil }, "namespace", n.name, nil) // logged
	}
	close(n.ready)
}

func (s *Server) newNamespace(name string, a adapter.Adapter, parent *Dynamic) *Namespace {
	n := &Namespace{srv: s, name: name, adapter: a, hub: hub.New[*Socket](), parent: parent, ready: make(chan struct{})}
	n.Broadcaster.nsp = n
	if parent != nil {
		n.handlers.copyFrom(parent.handlers.load())
		n.connects, n.uses = parent.registered()
	}
	return n
}

// enter counts a client in at the namespace that it wants to join.
func (s *Server) enter(ctx context.Context, name string, auth json.RawMessage) (*Namespace, error) {
	for {
		n, err := s.namespaceFor(ctx, name, auth)
		if err != nil || n.enter() {
			return n, err
		} // else it has been removed since
	}
}

// namespaceFor finds the namespace that a client wants to join, or makes it if
// a dynamic one allows.
func (s *Server) namespaceFor(ctx context.Context, name string, auth json.RawMessage) (*Namespace, error) {
	s.mu.Lock()
	n, dynamics := s.namespaces[name], s.dynamics
	s.mu.Unlock()
	if n != nil {
		return n, nil
	}
	if auth == nil {
		auth = json.RawMessage("{}")
	}
	for _, d := range dynamics {
		var allowed bool
		err := s.protect(func() (err error) {
			allowed, err = d.allow(ctx, name, auth)
			return err
		}, "dynamic namespace", name, nil)
		if err != nil || !allowed {
			continue
		}
		ctx, cancel := s.bounded(ctx)
		defer cancel()
		n, err := s.open(ctx, name, d)
		if err != nil {
			s.o.logger.Error("namespace could not be made", "nsp", name, "err", err)
		}
		return n, err
	}
	return nil, errors.New("socketeer: no such namespace")
}

// removeEmpty removes a namespace made by a template unless somebody is in it.
// Who wants to join it meanwhile waits, and gets a new one.
func (s *Server) removeEmpty(n *Namespace) {
	s.mu.Lock()
	if s.namespaces[n.name] != n || !n.closeEmpty() {
		s.mu.Unlock()
		return
	}
	delete(s.namespaces, n.name)
	s.children--
	s.opening[n.name] = make(chan struct{})
	s.mu.Unlock()
	defer s.opened(n.name)
	n.closeAdapter()
}

// bounded gives ctx the time that a request to other nodes may take.
func (s *Server) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.o.requestTimeout)
}

// within gives ctx a bound: d if set, else the default if it has none.
func (s *Server) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d > 0 {
		return context.WithTimeout(ctx, d)
	}
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return s.bounded(ctx)
}

func (s *Server) maxPayload() int64 {
	if n := s.o.engine.MaxPayload; n > 0 {
		return n
	}
	return 1_000_000
}

// newID returns a new Socket.IO id.
func (s *Server) newID() string { return s.tag + randomID(12) }

func randomID(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
