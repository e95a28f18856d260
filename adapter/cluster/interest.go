package cluster

import (
	"context"
	"errors"
	"net"

	"github.com/socketeer-io/socketeer/adapter/internal/interest"
)

// subscriber makes the subscriptions to a namespace's rooms: see package
// interest.
type subscriber struct{ a *namespace }

var _ interest.Subscriber = subscriber{}

// Begin implements interest.Subscriber. The subscription is in force when all
// live nodes know of it.
func (s subscriber) Begin(room string) (wait func(context.Context) error, err error) {
	if err := s.a.node.bus.Subscribe(appendToken(s.a.roomPrefix, room)); err != nil {
		return nil, err
	}
	return s.a.node.barrier, nil
}

// End implements interest.Subscriber.
func (s subscriber) End(room string) {
	err := s.a.node.bus.Unsubscribe(appendToken(s.a.roomPrefix, room))
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.a.node.log.Debug("not unsubscribed", "nsp", s.a.name, "room", room, "err", err)
	}
}

// Join implements [adapter.Adapter]. If ctx ends first, the error is a
// *adapter.PartialError with the nodes that have not confirmed; messages of
// the others arrive already, and theirs will.
func (a *namespace) Join(ctx context.Context, name string) error { return a.rooms.Join(ctx, name) }

// Leave implements [adapter.Adapter]. The room's messages keep coming for
// Config.LeaveDelay, in case somebody joins again.
func (a *namespace) Leave(name string) { a.rooms.Leave(name) }
