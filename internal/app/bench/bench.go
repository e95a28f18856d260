// Package bench is the application that load generators talk to: the least
// that shows what a server costs.
package bench

import (
	"context"

	"github.com/socketeer-io/socketeer"
)

// Mount adds the application to the namespace "/":
//
//	join (room, ack)  joins the room and acknowledges
//	echo (data, ack)  acknowledges with data
//	say  (room, data) emits msg (data) to everyone in the room, sender included
func Mount(io *socketeer.Server) {
	io.On("join", func(ctx context.Context, m *socketeer.Message) error {
		var room string
		if err := m.Decode(&room); err != nil {
			return err
		}
		if err := m.Socket().Join(ctx, room); err != nil {
			return err
		}
		return m.Ack()
	})
	io.On("echo", func(_ context.Context, m *socketeer.Message) error {
		return m.Ack(m.Raw(0))
	})
	io.On("say", func(_ context.Context, m *socketeer.Message) error {
		var room string
		if err := m.Decode(&room); err != nil {
			return err
		}
		return io.To(room).Emit("msg", m.Raw(1))
	})
}
