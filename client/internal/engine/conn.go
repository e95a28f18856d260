package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/socketeer-io/socketeer/protocol/eio"
)

const defaultUpgradeTimeout = 10 * time.Second

// A transport moves packets. One goroutine receives while another sends.
type transport interface {
	name() string
	// receive waits for packets and hands them on, in order.
	receive(ctx context.Context, handle func(eio.Packet) error) error
	// send returns when the packets were handed over.
	send(ctx context.Context, ps []eio.Packet) error
	// goodbye tells the server that the session is over; over means that
	// there is nothing to wait for.
	goodbye(ctx context.Context) (over bool, err error)
	// close cuts, and makes receive and send return.
	close()
}

// errParse marks what the peer sent as nonsense.
var errParse = errors.New("socketeer: malformed packet")

// errBye ends the reader after an orderly end.
var errBye = errors.New("socketeer: closed by the server")

// Conn is an Engine.IO connection. All methods but Run may be called by any
// goroutine at any time.
type Conn struct {
	opts      Options
	handshake eio.Handshake
	queue     *queue
	early     []eio.Packet // came with the handshake

	ctx     context.Context //nolint:containedctx // done when the connection is cut; the cause is a *CloseError
	cancel  context.CancelCauseFunc
	watch   *time.Timer // cuts when nothing came for too long
	patient time.Duration
	closing atomic.Bool // Close was called
	wg      sync.WaitGroup

	sending sync.Mutex // held while a batch is sent and while the transport changes
	mu      sync.Mutex
	current transport  // guarded by mu; changed by the reader only, with sending held too
	next    *candidate // what the reader should move to, when it can; guarded by mu
}

// candidate is a WebSocket that has answered the probe.
type candidate struct {
	ws    *wsTransport
	taken chan struct{} // closed by the reader when it took it
}

// Open makes the handshake. The context bounds it, and only it.
func Open(ctx context.Context, opts Options) (*Conn, error) {
	if opts.UpgradeTimeout <= 0 {
		opts.UpgradeTimeout = defaultUpgradeTimeout
	}
	c := &Conn{opts: opts, queue: newQueue(opts.SendBuffer)}
	var err error
	switch first := opts.Transports[0]; first {
	case Polling:
		err = c.openPolling(ctx)
	case WebSocket:
		err = c.openWebSocket(ctx)
	default:
		err = fmt.Errorf("socketeer: unknown transport %q", first)
	}
	if err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.patient = c.handshake.PingInterval + c.handshake.PingTimeout
	return c, nil
}

// Transport returns the name of the transport in use.
func (c *Conn) Transport() string { return c.transport().name() }

// Send queues all of ps or none. It returns [ErrFull], or net.ErrClosed when
// the connection is over or about to be.
func (c *Conn) Send(ps ...eio.Packet) error { return c.queue.add(ps, false) }

// Push is Send that does not mind a full queue, for what was bounded before.
func (c *Conn) Push(ps ...eio.Packet) error { return c.queue.add(ps, true) }

// Wait returns when it is worth trying Send again, or with the context's cause.
func (c *Conn) Wait(ctx context.Context) error { return c.queue.wait(ctx) }

// Writable tells whether a packet sent now would leave at once.
func (c *Conn) Writable() bool { return c.queue.idle() }

// Fits tells whether the server accepts packets of this size.
func (c *Conn) Fits(ps []eio.Packet) bool {
	limit := c.handshake.MaxPayload
	if limit <= 0 {
		return true
	}
	polling := c.Transport() == Polling
	for i := range ps {
		n := textSize(ps[i])
		if ps[i].Binary && !polling {
			n = int64(len(ps[i].Data))
		}
		if n > limit {
			return false
		}
	}
	return true
}

// Close lets what is queued leave, says goodbye to the server and ends the
// connection, with a cut when that takes longer than patience; 0 is no bound. It
// does not wait: Run returns when done. A second call can only shorten the
// patience.
func (c *Conn) Close(patience time.Duration) {
	c.closing.Store(true)
	c.queue.close()
	if patience > 0 {
		timer := time.AfterFunc(patience, c.Cut)
		context.AfterFunc(c.ctx, func() { timer.Stop() })
	}
}

// Cut ends the connection without a word.
func (c *Conn) Cut() { c.fail(&CloseError{Reason: ReasonForcedClose}) }

func (c *Conn) fail(err *CloseError) { c.cancel(err) }

// Context is done when the connection has ended.
func (c *Conn) Context() context.Context { return c.ctx }

func (c *Conn) transport() transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// Run receives until the connection ends, and tells why. The handler is called
// for messages only, one at a time; its error ends the connection as
// unparsable. Run must be called once, else the connection leaks.
func (c *Conn) Run(handle func(eio.Packet) error) *CloseError {
	c.watch = time.AfterFunc(c.patient, func() { c.fail(&CloseError{Reason: ReasonPingTimeout}) })
	unhook := context.AfterFunc(c.ctx, func() { c.transport().close() })
	c.wg.Go(c.write)
	if c.canUpgrade() {
		c.wg.Go(c.upgrade)
	}
	c.fail(c.closeError(c.read(handle)))
	c.watch.Stop()
	c.queue.close()
	if unhook() {
		c.transport().close()
	}
	c.wg.Wait()
	var e *CloseError
	errors.As(context.Cause(c.ctx), &e) // which is the only cause
	return e
}

func (c *Conn) read(handle func(eio.Packet) error) error {
	onPacket := func(p eio.Packet) error { return c.onPacket(p, handle) }
	for _, p := range c.early {
		if err := onPacket(p); err != nil {
			return err
		}
	}
	c.early = nil
	for {
		if err := c.transport().receive(c.ctx, onPacket); err != nil {
			return err
		}
		if err := c.handover(); err != nil {
			return err
		}
	}
}

func (c *Conn) onPacket(p eio.Packet, handle func(eio.Packet) error) error {
	c.watch.Reset(c.patient)
	switch p.Type {
	case eio.Message:
		if err := handle(p); err != nil {
			return fmt.Errorf("%w: %w", errParse, err)
		}
	case eio.Ping:
		c.queue.answer(eio.Packet{Type: eio.Pong, Data: p.Data})
	case eio.Close:
		return errBye
	case eio.Noop:
	default:
		return fmt.Errorf("%w: unexpected %v", errParse, p.Type)
	}
	return nil
}

// closeError puts the reader's error into the words of the protocol. It has no
// effect when the connection was cut before: the first cause stays.
func (c *Conn) closeError(err error) *CloseError {
	switch {
	case c.closing.Load():
		return &CloseError{Reason: ReasonForcedClose}
	case errors.Is(err, errParse):
		return &CloseError{Reason: ReasonParseError, Err: err}
	case errors.Is(err, errBye), errors.Is(err, net.ErrClosed):
		return &CloseError{Reason: ReasonTransportClose, Err: err}
	}
	return &CloseError{Reason: ReasonTransportError, Err: err}
}

// write sends what is queued until the queue is closed and empty, and then
// says goodbye.
func (c *Conn) write() {
	var batch []eio.Packet
	for {
		if batch = c.queue.take(c.ctx, batch); batch == nil {
			break
		}
		if err := c.sendBatch(batch); err != nil {
			c.fail(&CloseError{Reason: ReasonTransportError, Err: err})
			return
		}
	}
	if !c.closing.Load() || c.ctx.Err() != nil {
		return
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	over, err := c.transport().goodbye(c.ctx)
	if err != nil {
		c.opts.Logger.Debug("socketeer: no goodbye", "sid", c.handshake.SID, "err", err)
	}
	if over || err != nil {
		c.Cut()
	}
}

func (c *Conn) sendBatch(batch []eio.Packet) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.transport().send(c.ctx, batch)
}
