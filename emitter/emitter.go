package emitter

import (
	"context"
	"log/slog"
	"strings"

	"github.com/socketeer-io/socketeer/internal/nodewire"
	"github.com/socketeer-io/socketeer/internal/redislink"
)

// Emitter sends to one namespace, "/" at first. The methods of its Broadcast
// are for all sockets of the namespace. All methods may be called concurrently.
type Emitter struct {
	Broadcast
}

// New connects to Redis. ctx bounds only that: from then on the connection
// heals by itself. Errors: the options, and in one line what to check when
// Redis cannot be reached or does not let us in.
func New(ctx context.Context, o Options) (*Emitter, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	link, err := redislink.Open(ctx, redislink.Options{
		URLs: o.URLs, TLS: o.TLS, Prefix: o.Prefix, ClientName: "socketeer-emitter", Logger: o.Logger,
		PublishOnly: true, PublishTimeout: o.PublishTimeout, BacklogBytes: o.BacklogBytes,
	})
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	out := &outlet{link: link, log: o.Logger, wire: wire{o: o, build: link.Client().B}, current: newBatch(nil)}
	return &Emitter{Broadcast{out: out, nsp: "/"}}, nil
}

// Of returns an emitter to another namespace, over the same connection. The
// leading slash may be left out.
func (e *Emitter) Of(nsp string) *Emitter {
	if !strings.HasPrefix(nsp, "/") {
		nsp = "/" + nsp
	}
	return &Emitter{Broadcast{out: e.out, nsp: nsp}}
}

// ServerSideEmit raises an event on the namespace of all nodes, where
// OnServerSide handles it. Errors are those of [Broadcast.Emit].
func (e *Emitter) ServerSideEmit(event string, args ...any) error {
	data, attachments, err := encode(event, reservedServerSide, args)
	if err != nil {
		return err
	}
	return e.out.send(&nodewire.Message{Type: nodewire.ServerSideEmit, NSP: e.nsp, Data: data, Attachments: attachments})
}

func reservedServerSide(event string) bool {
	return event == "connect" || event == "connection" || event == "new_namespace"
}

// Flush waits until Redis has answered what was sent before, to any namespace,
// or ctx ends. A [*LostError] says how many messages were lost since the last
// one that was returned.
func (e *Emitter) Flush(ctx context.Context) error { return e.out.flush(ctx) }

// Ready returns nil while Redis is there, else what is wrong.
func (e *Emitter) Ready() error { return e.out.link.Ready() }

// Stats returns the counters of the emitters to all namespaces.
func (e *Emitter) Stats() Stats { return e.out.stats() }

// Close sends what waits, for at most Options.PublishTimeout, and ends the
// connection, for the emitters to all namespaces. Its error is that of Flush.
// It is idempotent.
func (e *Emitter) Close() error {
	_ = e.out.link.Close() // always nil
	return e.out.takeLoss()
}
