package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/nodewire"
)

// maxPID bounds what clients prove themselves by, in bytes.
const maxPID = 128

// SaveSession implements [adapter.Log].
func (ns *namespace) SaveSession(ctx context.Context, s *adapter.Session) error {
	value, err := nodewire.EncodeSession(s, ns.c.id.Incarnation+ns.name)
	if err != nil {
		return err
	}
	keep := ns.history.retention()
	b := ns.c.redis.B()
	if err := ns.c.redis.Do(ctx, b.Set().Key(ns.sessionKey(s.PID)).Value(value).Px(keep).Build()).Error(); err != nil {
		return fmt.Errorf("socketeer: save session: redis: %w", err)
	}
	return nil
}

// DropSession implements [adapter.Log].
func (ns *namespace) DropSession(ctx context.Context, pid string) error {
	if err := ns.c.redis.Do(ctx, ns.c.redis.B().Del().Key(ns.sessionKey(pid)).Build()).Error(); err != nil {
		return fmt.Errorf("socketeer: drop session: redis: %w", err)
	}
	return nil
}

func (ns *namespace) sessionKey(pid string) string { return ns.c.o.SessionKeyPrefix + pid }

// TakeSession implements [adapter.Log]. The record is looked at first: one of
// another namespace, or that is none, is left alone.
func (ns *namespace) TakeSession(ctx context.Context, pid string) (*adapter.Session, error) {
	if pid == "" || len(pid) > maxPID {
		return nil, &adapter.Unrecoverable{Reason: adapter.NoSession}
	}
	key := ns.sessionKey(pid)
	if _, err := ns.session(pid, ns.c.redis.Do(ctx, ns.c.redis.B().Get().Key(key).Build())); err != nil {
		return nil, err
	}
	return ns.session(pid, ns.c.redis.Do(ctx, ns.c.redis.B().Getdel().Key(key).Build()))
}

// session decodes a record.
func (ns *namespace) session(pid string, r rueidis.RedisResult) (*adapter.Session, error) {
	none := func(err error) error { return &adapter.Unrecoverable{Reason: adapter.NoSession, Err: err} }
	value, err := r.ToString()
	switch {
	case rueidis.IsRedisNil(err):
		return nil, none(nil)
	case err != nil:
		return nil, &adapter.Unrecoverable{Reason: adapter.LogFailure, Err: err}
	}
	s, node, err := nodewire.DecodeSession(value)
	if err != nil {
		return nil, none(err)
	}
	incarnation, nsp, _ := strings.Cut(node, "/")
	if node != "" && "/"+nsp != ns.name || s.PID != pid { // Node.js does not tell the namespace
		return nil, none(errors.New("socketeer: it is of another namespace"))
	}
	s.Live = s.Live && !ns.c.gone(incarnation)
	return s, nil
}
