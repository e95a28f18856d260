package mesh

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// retry is how long after an attempt an address is dialed again, and up to
	// half as long in addition.
	retry = time.Second
	// maxAddrs bounds the addresses of other nodes.
	maxAddrs = 1024
	// maxHandshakes bounds those of connections from outside under way.
	maxHandshakes = 64
	// forgetAfter is how often in a row an address that others have told is
	// dialed in vain.
	forgetAfter = 600
	// looks is how often in its time of silence a link is looked after: each
	// side then says something if it has not said anything.
	looks = 3
)

// peers makes the links: it dials the addresses that were configured and
// those that other nodes tell, and accepts who comes.
type peers struct {
	log      *slog.Logger
	bus      *bus
	shake    shaker // immutable
	listener net.Listener
	tls      *tls.Config
	silence  time.Duration
	ctx      context.Context //nolint:containedctx // ends with the node
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	slots    chan struct{} // of maxHandshakes

	mu       sync.Mutex
	addrs    map[string]struct{} // that are being dialed
	reserved map[string]net.Conn // by incarnation: what was decided to be its link
	open     map[net.Conn]struct{}
	closed   bool
}

func newPeers(o *Options, log *slog.Logger, b *bus, self hello, l net.Listener) *peers {
	p := &peers{
		log: log, bus: b, listener: l, tls: o.TLS, silence: o.Silence, slots: make(chan struct{}, maxHandshakes),
		addrs: make(map[string]struct{}), reserved: make(map[string]net.Conn), open: make(map[net.Conn]struct{}),
	}
	p.shake = shaker{self: self, token: o.Token}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	b.learn = func(addr string) { p.add(addr, "", false) }
	return p
}

// start begins to accept, and to dial what is configured.
func (p *peers) start(configured []string) {
	p.wg.Go(p.accept)
	for _, addr := range configured {
		p.add(addr, "", true)
	}
}

// stop ends all links and waits for everything.
func (p *peers) stop() {
	p.cancel() // first: nobody is to wonder about lost links
	p.mu.Lock()
	p.closed = true
	for nc := range p.open {
		_ = nc.Close()
	}
	p.mu.Unlock()
	_ = p.listener.Close()
	p.wg.Wait()
}

// spawn starts a goroutine, unless all is being stopped.
func (p *peers) spawn(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.wg.Go(f)
	}
}

// add begins to dial an address, if that is new, while there is no link to the
// node that is known to be there.
func (p *peers) add(addr, incarnation string, configured bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.addrs[addr]
	if known || p.closed || addr == "" || addr == p.shake.self.addr || !configured && len(p.addrs) >= maxAddrs {
		return
	}
	p.addrs[addr] = struct{}{}
	p.wg.Go(func() { p.pursue(addr, incarnation, configured) })
}

func (p *peers) accept() {
	for {
		nc, err := p.listener.Accept()
		if err != nil {
			if p.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			p.log.Warn("a node cannot be accepted", "err", err)
			p.pause(retry)
			continue
		}
		select {
		case p.slots <- struct{}{}:
		default:
			_ = nc.Close() // it comes again
			continue
		}
		p.spawn(func() { p.welcome(nc) })
	}
}

func (p *peers) welcome(nc net.Conn) {
	if p.tls != nil {
		nc = tls.Server(nc, p.tls)
	}
	l, err := p.handshake(nc, p.shake.accept)
	<-p.slots
	if err != nil {
		if !errors.Is(err, errDuplicate) && !errors.Is(err, errSelf) && p.ctx.Err() == nil {
			p.log.Warn("a connection to the cluster address was refused", "from", nc.RemoteAddr().String(), "err", err)
		}
		return
	}
	p.serve(l)
}

// pursue keeps a link to the node at addr, whose incarnation is given if it is
// known. It connects even if there is a link, to find out whether the node can be
// reached there: if so, and nobody listens there any more when the link is lost,
// the node has ended.
func (p *peers) pursue(addr, incarnation string, configured bool) {
	failures, reached := 0, "" // the incarnation that was there
	for p.ctx.Err() == nil {
		began := time.Now()
		peer, err := p.dial(addr)
		switch {
		case errors.Is(err, errSelf):
			return // one address of this node: never dialed again
		case err == nil:
			failures, reached = 0, peer.incarnation
		case errors.Is(err, errDuplicate):
			failures, reached = 0, peer.incarnation
			p.bus.awaitUnlinked(p.ctx, peer.incarnation)
		case p.bus.linked(incarnation): // it has come by itself
			p.bus.awaitUnlinked(p.ctx, incarnation)
		default:
			if errors.Is(err, syscall.ECONNREFUSED) && reached != "" && !p.bus.linked(reached) {
				p.bus.ended(reached)
				reached = ""
			}
			failures++
			if failures == 1 && p.ctx.Err() == nil {
				p.log.Info("no link to a node yet", "addr", addr, "err", err)
			}
		}
		if !configured && failures >= forgetAfter {
			p.mu.Lock()
			delete(p.addrs, addr)
			p.mu.Unlock()
			return
		}
		if failures == 0 {
			p.pause(retry - time.Since(began))
		} else {
			p.pause(retry + rand.N(retry/2))
		}
	}
}

// dial opens a link and serves it until it ends; err is nil if there was one.
func (p *peers) dial(addr string) (hello, error) {
	ctx, cancel := context.WithTimeout(p.ctx, handshakeTimeout)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return hello{}, err
	}
	if p.tls != nil {
		config := p.tls
		if config.ServerName == "" {
			config = config.Clone()
			config.ServerName, _, _ = net.SplitHostPort(addr)
		}
		nc = tls.Client(nc, config)
	}
	l, err := p.handshake(nc, p.shake.dial)
	if err != nil {
		if l != nil {
			return l.peer, err
		}
		return hello{}, err
	}
	p.serve(l)
	return l.peer, nil
}

func (p *peers) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.ctx.Done():
	}
}

// handshake shakes hands by f. The link is not in use yet; with an error, it
// only tells the peer, if that is known.
func (p *peers) handshake(nc net.Conn, f func(net.Conn, func(*hello) bool) (hello, error)) (*link, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errors.Join(net.ErrClosed, nc.Close())
	}
	p.open[nc] = struct{}{}
	p.mu.Unlock()
	_ = nc.SetDeadline(time.Now().Add(handshakeTimeout))
	peer, err := f(nc, func(peer *hello) bool { return p.decide(nc, peer) })
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	l := newLink(p.bus, nc, peer)
	if err != nil {
		p.release(nc, peer.incarnation)
		_ = nc.Close()
		return l, err
	}
	return l, nil
}

// decide says whether a handshake may lead to a link, and remembers that.
func (p *peers) decide(nc net.Conn, peer *hello) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reserved[peer.incarnation] != nil {
		return false
	}
	p.reserved[peer.incarnation] = nc
	return true
}

// release forgets a connection, and what was decided for it.
func (p *peers) release(nc net.Conn, incarnation string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, nc)
	if p.reserved[incarnation] == nc {
		delete(p.reserved, incarnation)
	}
}

// serve uses a link until it ends.
func (p *peers) serve(l *link) {
	p.bus.add(l)
	p.add(l.peer.addr, l.peer.incarnation, false) // for when the link is lost
	p.log.Debug("linked", "peer", l.peer.incarnation, "addr", l.peer.addr)
	p.wg.Go(l.writer) // wg is held by the caller's goroutine
	p.wg.Go(func() { p.watch(l) })
	err := l.read()
	p.bus.remove(l)
	p.release(l.nc, l.peer.incarnation)
	if p.ctx.Err() == nil {
		p.log.Info("link to a node lost", "addr", l.peer.addr, "err", err)
	}
}

// watch looks after a link.
func (p *peers) watch(l *link) {
	t := time.NewTicker(p.silence / looks)
	defer t.Stop()
	silent := 0
	for {
		select {
		case <-l.closed:
			return
		case <-t.C:
		}
		if silent = l.look(silent); silent >= looks {
			l.end(errors.New("socketeer: mesh: the peer is silent"))
			return
		}
	}
}
