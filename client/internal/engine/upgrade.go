package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/socketeer-io/socketeer/protocol/eio"
)

// The upgrade, step by step, so that no packet is lost or overtaken
// (Engine.IO protocol, "Upgrade"):
//
//  1. The upgrader opens a WebSocket for the same session, sends "2probe" and
//     waits for "3probe". Meanwhile polling goes on.
//  2. It leaves the WebSocket where the reader finds it. The server answers a
//     poll that it holds with a noop, so the reader comes by soon.
//  3. The reader, between two polls and hence with everything handled that
//     polling brought, takes the lock under which the writer sends. So no POST is
//     under way either: what was taken before has been dispatched by the server.
//  4. Still under the lock it sends "5" and makes the WebSocket the transport. The
//     writer's next batch follows the "5" on the same stream; the server sends what
//     it holds only after the "5".
//
// Until step 4 any failure leaves polling as it was.

var probe = []byte("probe")

func (c *Conn) canUpgrade() bool {
	return c.opts.Upgrade && c.Transport() == Polling &&
		slices.Contains(c.opts.Transports, WebSocket) &&
		slices.Contains(c.handshake.Upgrades, WebSocket)
}

// upgrade does steps 1 and 2.
func (c *Conn) upgrade() {
	ctx, cancel := context.WithTimeout(c.ctx, c.opts.UpgradeTimeout)
	defer cancel()
	ws, err := c.probe(ctx)
	if err != nil {
		c.opts.Logger.Debug("socketeer: no upgrade", "sid", c.handshake.SID, "err", err)
		return
	}
	next := &candidate{ws: ws, taken: make(chan struct{})}
	c.mu.Lock()
	c.next = next
	c.mu.Unlock()
	select {
	case <-next.taken:
		return
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == next {
		c.next = nil
		ws.close()
		c.opts.Logger.Debug("socketeer: upgrade given up", "sid", c.handshake.SID)
	}
}

// probe opens a WebSocket that has answered the probe.
func (c *Conn) probe(ctx context.Context) (*wsTransport, error) {
	ws, err := c.dialWebSocket(ctx, c.handshake.SID)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, ws.close)
	err = ws.send(ctx, []eio.Packet{{Type: eio.Ping, Data: probe}})
	if err == nil {
		err = ws.receive(ctx, func(p eio.Packet) error {
			if p.Type != eio.Pong || string(p.Data) != string(probe) {
				return fmt.Errorf("socketeer: probe answered with %v", p.Type)
			}
			return nil
		})
	}
	if !stop() {
		err = errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		ws.close()
		return nil, err
	}
	return ws, nil
}

// handover does steps 3 and 4, when there is something to move to. The reader
// calls it.
func (c *Conn) handover() error {
	c.mu.Lock()
	next := c.next
	c.next = nil
	c.mu.Unlock()
	if next == nil {
		return nil
	}
	close(next.taken)
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.closing.Load() {
		// The goodbye goes, or has gone, by polling.
		next.ws.close()
		return nil
	}
	if err := next.ws.send(c.ctx, []eio.Packet{{Type: eio.Upgrade}}); err != nil {
		next.ws.close()
		return err
	}
	c.mu.Lock()
	old := c.current
	c.current = next.ws
	c.mu.Unlock()
	old.close()
	if c.ctx.Err() != nil {
		// Cut in between: whoever closed the transport then saw the old one.
		next.ws.close()
	}
	if c.opts.OnUpgrade != nil {
		c.opts.OnUpgrade()
	}
	return nil
}
