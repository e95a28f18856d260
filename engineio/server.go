// Package engineio is an Engine.IO (protocol revision 4) server: sessions with
// clients over HTTP long-polling and WebSocket, and the upgrade from one to the
// other. It is an http.Handler, and knows nothing of Socket.IO.
//
// Messages of one session keep their order in both directions, across the
// upgrade too. Sending never waits: what a client has not taken yet is queued,
// up to Options.SendBuffer bytes, and a client that falls further behind is
// closed. An idle WebSocket session owns no goroutine, no buffer and no timer on
// Linux without TLS; with TLS and elsewhere, one waiting goroutine and a read
// buffer of 1 KiB.
//
// Wire format: https://socket.io/docs/v4/engine-io-protocol/.
package engineio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/cors"

	"github.com/socketeer-io/socketeer/internal/netpoll"
	"github.com/socketeer-io/socketeer/internal/wsconn"
	"github.com/socketeer-io/socketeer/protocol/eio"
)

// Upgrader is optionally implemented by a [Session] that wants to know when
// its connection has moved to WebSocket.
type Upgrader interface{ Upgraded() }

// Server accepts Engine.IO sessions. Make one with [NewServer].
type Server struct {
	o        Options
	accepted func(c *Conn) Session
	handler  http.Handler // with CORS
	cors     *cors.Cors   // nil when not configured
	wheel    *wheel
	flushers *flushers
	pollers  []*netpoll.Poller // none where there is no epoll, or no WebSocket
	start    time.Time
	conns    [connShards]connShard
	count    atomic.Int64
	serial   atomic.Uint32
	stats    stats
	draining atomic.Bool // no new sessions
	closed   atomic.Bool // set under mu

	mu         sync.Mutex
	running    bool
	finished   bool // no goroutine may be started any more
	stop       chan struct{}
	goroutines sync.WaitGroup
}

const connShards = 32

// connShard is a part of the table of sessions.
type connShard struct {
	mu sync.Mutex
	m  map[string]*Conn
}

// NewServer returns a server. It calls open for each new session, before any
// of its messages; what open sends follows the handshake at once. Nothing runs
// until the first request, and until Close.
func NewServer(o Options, open func(c *Conn) Session) (*Server, error) {
	o = o.withDefaults()
	if o.NodeTag == "" {
		o.NodeTag = randomID(3)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Server{o: o, accepted: open, start: time.Now(), stop: make(chan struct{}), flushers: newFlushers()}
	tick := min(max(min(o.PingInterval, o.PingTimeout)/256, time.Millisecond), 50*time.Millisecond)
	s.wheel = newWheel(tick, (*Conn).tick)
	for i := range s.conns {
		s.conns[i].m = make(map[string]*Conn)
	}
	s.handler = http.HandlerFunc(s.serve)
	if err := s.makePollers(); err != nil {
		return nil, err
	}
	if o.CORS != nil {
		s.cors = cors.New(*o.CORS)
		s.handler = s.cors.Handler(s.handler)
	}
	return s, nil
}

// Count returns the number of open sessions.
func (s *Server) Count() int { return int(s.count.Load()) }

// Conns yields the sessions, each of which may have ended by then.
func (s *Server) Conns() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		for i := range s.conns {
			shard := &s.conns[i]
			shard.mu.Lock()
			conns := make([]*Conn, 0, len(shard.m))
			for _, c := range shard.m {
				conns = append(conns, c)
			}
			shard.mu.Unlock()
			for _, c := range conns {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Drain refuses new sessions from now on, with status 503, by which load
// balancers know to take another server. Sessions that are there go on; every
// one is among those that Conns yields now.
func (s *Server) Drain() { s.draining.Store(true) }

// Close refuses new sessions, ends all others as ServerShutdown and waits,
// until ctx ends, for their goroutines; then it cuts what is left. It is
// idempotent.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	first := s.closed.CompareAndSwap(false, true)
	s.mu.Unlock()
	for c := range s.Conns() {
		c.CloseReason(ServerShutdown)
	}
	err := s.drain(ctx)
	for c := range s.Conns() {
		c.fail(ServerShutdown, nil)
	}
	if first {
		close(s.stop)
		for _, p := range s.pollers {
			_ = p.Close() // the epoll descriptor
		}
	}
	s.mu.Lock()
	s.finished = true
	s.mu.Unlock()
	s.goroutines.Wait()
	return err
}

// drain waits until the sessions have gone by themselves. Those on polling
// may take their time to ask; they are not waited for.
func (s *Server) drain(ctx context.Context) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	limit := time.After(lingerWebSocket)
	for {
		left := 0
		for c := range s.Conns() {
			c.mu.Lock()
			if c.ws != nil && c.out.n > 0 {
				left++
			}
			c.mu.Unlock()
		}
		if left == 0 {
			return nil
		}
		select {
		case <-t.C:
		case <-limit:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// begin starts the shared goroutines with the first session, and refuses to
// once closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return false
	}
	if !s.running {
		s.running = true
		s.goroutines.Go(func() { s.wheel.run(s.stop) })
		single := len(s.flushers.shards) == 1
		for _, shard := range s.flushers.shards {
			s.goroutines.Go(func() { shard.run(s.stop, single) })
		}
		for _, p := range s.pollers {
			s.goroutines.Go(p.Run)
		}
	}
	return true
}

// makePollers makes one poller for every two processors: what the messages ask
// for is done by others.
func (s *Server) makePollers() error {
	if !netpoll.Supported || !slices.Contains(s.o.Transports, websocket) {
		return nil
	}
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		p, err := netpoll.New(s.readSome)
		if err != nil {
			return err
		}
		s.pollers = append(s.pollers, p)
	}
	return nil
}

// readSome is called when a batch of messages has been read.
func (s *Server) readSome() {
	if s.o.AfterRead != nil {
		s.o.AfterRead()
	}
}

// spawn runs f on a goroutine that Close waits for. While Close drains, what is
// left may still have to be written by one.
func (s *Server) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return false
	}
	s.goroutines.Go(f)
	return true
}

func (s *Server) since(t time.Time) time.Duration { return t.Sub(s.start) }

// ServeHTTP serves polling requests and WebSocket handshakes, whatever their
// path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler.ServeHTTP(w, r)
}

// serve verifies a request in the JavaScript server's order, and hands it to
// its session or opens one.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// The HTTP server wants the body even of a request that is refused. Not
		// every ResponseWriter has deadlines.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.o.PingInterval + s.o.PingTimeout))
	}
	q, e := s.parse(r)
	if e == nil && !validHeader(r.Header.Get("Origin")) {
		e = &ConnectionError{Code: BadRequest, Name: "INVALID_ORIGIN"}
	}
	if e != nil {
		s.refuse(w, r, e)
		return
	}
	if q.sid != "" {
		s.resume(w, r, q)
		return
	}
	s.handshake(w, r, q)
}

// query is what a request says of itself.
type query struct {
	transport, sid, revision string
	upgrade, base64          bool
}

func (s *Server) parse(r *http.Request) (query, *ConnectionError) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil && len(v) == 0 {
		return query{}, &ConnectionError{Code: UnknownTransport, Err: err}
	}
	q := query{transport: v.Get("transport"), sid: v.Get("sid"), revision: v.Get("EIO"), upgrade: isUpgrade(r), base64: v.Get("b64") != ""}
	if len(v["transport"]) != 1 || !slices.Contains(s.o.Transports, q.transport) {
		return q, &ConnectionError{Code: UnknownTransport, Err: fmt.Errorf("transport %.40q", q.transport)}
	}
	return q, nil
}

func isUpgrade(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// resume serves a request of a known session.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, q query) {
	c := s.find(q.sid)
	switch {
	case c == nil:
		s.refuse(w, r, unknownSID(q.sid))
	case q.revision != "4":
		s.refuse(w, r, &ConnectionError{Code: BadRequest, Name: "PROTOCOL_MISMATCH"})
	case q.upgrade && q.transport == websocket:
		c.upgrade(w, r)
	case q.upgrade, q.transport != polling_, c.poll == nil:
		s.refuse(w, r, mismatch(q.transport, c.Transport()))
	case r.Method == http.MethodGet:
		c.serveGet(w, r)
	case r.Method == http.MethodPost:
		c.servePost(w, r)
	default:
		s.refuse(w, r, &ConnectionError{Code: BadHandshakeMethod, Err: errors.New(r.Method)})
	}
}

// handshake opens a session.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request, q query) {
	id, e := s.admit(r, q)
	if e != nil {
		s.refuse(w, r, e)
		return
	}
	if q.transport == websocket {
		s.openWebSocket(w, r, q, id)
		return
	}
	c, err := s.open(r, q, id, nil)
	if err != nil {
		s.refuse(w, r, shuttingDown())
		return
	}
	if s.o.Cookie != nil {
		cookie := *s.o.Cookie
		cookie.Value = id
		http.SetCookie(w, &cookie)
	}
	if s.o.InitialHeaders != nil {
		s.o.InitialHeaders(w.Header(), r)
	}
	c.mu.Lock()
	c.respond(w, r, c.take(c.poll))
}

// admit says whether a session may be opened, and its id.
func (s *Server) admit(r *http.Request, q query) (id string, e *ConnectionError) {
	switch {
	case s.draining.Load():
		return "", shuttingDown()
	case r.Method != http.MethodGet:
		return "", &ConnectionError{Code: BadHandshakeMethod, Err: errors.New(r.Method)}
	case q.transport == websocket && !q.upgrade, q.transport != websocket && q.upgrade:
		return "", &ConnectionError{Code: BadRequest, Name: "TRANSPORT_HANDSHAKE_ERROR"}
	case !s.originAllowed(r, q):
		return "", &ConnectionError{Code: Forbidden, Name: "ORIGIN", Err: fmt.Errorf("origin %.100q", r.Header.Get("Origin"))}
	case q.revision != "4":
		return "", &ConnectionError{Code: UnsupportedVersion, Err: fmt.Errorf("EIO %.10q", q.revision)}
	}
	if s.o.AllowRequest != nil {
		if err := s.o.AllowRequest(r); err != nil {
			return "", &ConnectionError{Code: Forbidden, Err: err}
		}
	}
	if s.o.GenerateID == nil {
		return s.o.NodeTag + randomID(12), nil
	}
	id, err := s.o.GenerateID(r)
	if err == nil && (id == "" || len(id) > 128 || !validID(id)) {
		err = errors.New("socketeer: generated id is not 1 to 128 characters of [A-Za-z0-9_-]")
	}
	if err != nil {
		return "", &ConnectionError{Code: BadRequest, Name: "ID_GENERATION_ERROR", Err: err}
	}
	return id, nil
}

// originAllowed keeps pages of other sites from opening WebSockets with the
// user's cookies: CORS does not cover those by itself.
func (s *Server) originAllowed(r *http.Request, q query) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || q.transport != websocket {
		return true
	}
	if u, err := url.Parse(origin); err == nil && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	return s.cors != nil && s.cors.OriginAllowed(r)
}

// open makes a session, with its handshake packet queued. ws is nil for
// polling.
func (s *Server) open(r *http.Request, q query, id string, ws *wsconn.Accepted) (*Conn, error) {
	if !s.begin() {
		return nil, ErrClosed
	}
	c := &Conn{srv: s, id: id, req: newRequest(r), shard: s.serial.Add(1), base64: q.base64}
	var upgrades []string
	if ws != nil {
		c.ws = ws.Conn
		c.out.push(rawFrame(ws.Response)) // leaves together with the handshake
	} else {
		c.poll = &polling{}
		if !s.o.NoUpgrades && slices.Contains(s.o.Transports, websocket) {
			upgrades = []string{websocket}
		}
	}
	h := eio.Handshake{SID: id, Upgrades: upgrades, PingInterval: s.o.PingInterval, PingTimeout: s.o.PingTimeout, MaxPayload: s.o.MaxPayload}
	b := make([]byte, Headroom, Headroom+192)
	b[Headroom-1] = '0' + byte(eio.Open)
	hello := newPacket(h.AppendJSON(b), nil)

	now := time.Now()
	c.pingAt = s.since(now) + s.o.PingInterval
	c.corks = 1 // the handshake leaves together with what open sends
	c.out.push(hello)
	c.begin()
	if !s.remember(c) {
		err := fmt.Errorf("socketeer: server takes no more sessions, or session id %q is in use", id)
		c.fail(ServerShutdown, err)
		return nil, err
	}
	first := s.o.PingInterval
	c.mu.Lock()
	if c.closeBy != 0 { // the session has set a limit
		first = min(first, c.closeBy-s.since(now))
	}
	c.mu.Unlock()
	s.wheel.schedule(c, now.Add(first))
	c.Uncork()
	c.mu.Lock()
	gone := c.state == stateClosed // before it was in the tables
	c.mu.Unlock()
	if gone {
		s.wheel.remove(c)
		s.forget(c)
	}
	return c, nil
}

func (s *Server) shardOf(id string) *connShard {
	var h uint32 = 2166136261 // FNV-1a
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return &s.conns[h%connShards]
}

func (s *Server) find(id string) *Conn {
	shard := s.shardOf(id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return shard.m[id]
}

func (s *Server) remember(c *Conn) bool {
	shard := s.shardOf(c.id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if _, taken := shard.m[c.id]; taken || s.draining.Load() {
		return false // who drains does not see what comes after that
	}
	shard.m[c.id] = c
	s.count.Add(1)
	s.stats.opened.Add(1)
	return true
}

func (s *Server) forget(c *Conn) {
	shard := s.shardOf(c.id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.m[c.id] == c {
		delete(shard.m, c.id)
		s.count.Add(-1)
	}
}

// headers adds what the application wants in a response.
func (s *Server) headers(h http.Header, r *http.Request, initial bool) {
	if initial && s.o.InitialHeaders != nil {
		s.o.InitialHeaders(h, r)
	}
	if s.o.Headers != nil {
		s.o.Headers(h, r)
	}
}

const tagLen = 4

// randomID returns n random bytes as characters of [A-Za-z0-9_-].
func randomID(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

func validID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// validHeader reports whether a header value has no control characters.
func validHeader(v string) bool {
	for i := range len(v) {
		if v[i] < 0x20 && v[i] != '\t' || v[i] == 0x7f {
			return false
		}
	}
	return true
}
