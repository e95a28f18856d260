package socketeer

import (
	"context"

	"github.com/socketeer-io/socketeer/adapter"
)

// announceID tells an adapter that needs it of a socket, before its client
// knows the socket's id.
func (s *Socket) announceID() {
	if ids, ok := s.nsp.adapter.(adapter.IDs); !ok || !ids.NeedsIDs() {
		return
	}
	ctx, cancel := s.nsp.srv.bounded(s.Context())
	defer cancel()
	if err := s.nsp.adapter.Join(ctx, s.ID()); err != nil && context.Cause(s.Context()) == nil {
		s.nsp.srv.o.logger.Warn("announcing a socket failed", "nsp", s.name, "sid", s.ID(), "err", err)
	}
}

// withdrawID takes announceID back.
func (s *Socket) withdrawID() {
	if ids, ok := s.nsp.adapter.(adapter.IDs); ok && ids.NeedsIDs() {
		s.nsp.adapter.Leave(s.ID())
	}
}
