package jslog

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/tinylib/msgp/msgp"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/internal/msgread"
)

// codeWrongSequence is the error of a write that expected another last message.
const codeWrongSequence = 10071

const (
	sessionVersion = 1
	sessionFields  = 8
)

var errSession = errors.New("socketeer: malformed session")

// saved is a session as it is kept; one without a session was taken by who has
// its token, or dropped.
type saved struct {
	node    string // the incarnation that saved it
	nsp     string
	retain  time.Duration
	session adapter.Session
}

// appendSaved appends a version and [node, namespace, retain in ns, sid, pid,
// rooms, data, live].
func appendSaved(b []byte, v *saved) []byte {
	b = append(b, sessionVersion)
	b = msgp.AppendArrayHeader(b, sessionFields)
	b = msgp.AppendString(b, v.node)
	b = msgp.AppendString(b, v.nsp)
	b = msgp.AppendInt64(b, int64(v.retain))
	b = msgp.AppendString(b, v.session.SID)
	b = msgp.AppendString(b, v.session.PID)
	b = msgp.AppendArrayHeader(b, uint32(len(v.session.Rooms)))
	for _, r := range v.session.Rooms {
		b = msgp.AppendString(b, r)
	}
	b = msgp.AppendBytes(b, v.session.Data)
	return msgp.AppendBool(b, v.session.Live)
}

// decodeSaved reads what appendSaved wrote.
func decodeSaved(b []byte) (*saved, error) {
	if len(b) == 0 || b[0] != sessionVersion {
		return nil, errSession
	}
	r := msgread.Reader{Rest: b[1:]}
	r.Record(sessionFields) // what a later version adds is behind all that is read
	v := &saved{node: r.Text(), nsp: r.Text(), retain: time.Duration(r.Int64())}
	v.session = adapter.Session{SID: r.Text(), PID: r.Text(), Rooms: r.Texts(), Data: bytes.Clone(r.Blob()), Live: r.Bool()}
	if r.Err != nil {
		return nil, errSession
	}
	return v, nil
}

// subject is where a session is kept. It does not tell the secret.
func (l *Log) subject(nsp, pid string) string {
	sum := sha256.Sum256([]byte(nsp + "\x00" + pid))
	return l.cfg.sessionSubject(base64.RawURLEncoding.EncodeToString(sum[:]))
}

// SaveSession keeps a session of a namespace for as long as Retain says.
func (l *Log) SaveSession(ctx context.Context, nsp string, retain time.Duration, s *adapter.Session) error {
	if len(s.Rooms) > msgread.MaxElements {
		return fmt.Errorf("socketeer: save session: %d rooms", len(s.Rooms))
	}
	value := appendSaved(nil, &saved{node: l.cfg.Self, nsp: nsp, retain: retain, session: *s})
	if err := l.put(ctx, l.subject(nsp, s.PID), value); err != nil {
		return fmt.Errorf("socketeer: save session: %w", err)
	}
	return nil
}

// DropSession forgets a session that is not to be recovered.
func (l *Log) DropSession(ctx context.Context, nsp, pid string) error {
	if err := l.put(ctx, l.subject(nsp, pid), nil); err != nil {
		return fmt.Errorf("socketeer: drop session: %w", err)
	}
	return nil
}

// put writes what is kept at a subject, once, however often it tries.
func (l *Log) put(ctx context.Context, subject string, value []byte, o ...jetstream.PublishOpt) error {
	o = append(o, jetstream.WithMsgID(rand.Text()), jetstream.WithExpectStream(l.cfg.sessionStream()), jetstream.WithRetryAttempts(0))
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		ask, cancel := context.WithTimeout(ctx, maxAttempt)
		_, err := l.js.Publish(ask, subject, value, o...)
		cancel()
		if err == nil || isCode(err, codeWrongSequence) || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		if !sleep(ctx, jitter(pause)) {
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// TakeSession returns a session and forgets it. It writes that it is taken, on
// the condition that nothing has been written since it was read, so that one
// caller succeeds.
func (l *Log) TakeSession(ctx context.Context, nsp, pid string) (*adapter.Session, error) {
	none := func(err error) error { return &adapter.Unrecoverable{Reason: adapter.NoSession, Err: err} }
	if pid == "" {
		return nil, none(nil)
	}
	subject, token := l.subject(nsp, pid), []byte("\x00"+rand.Text())
	for {
		m, err := l.last(ctx, subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, none(nil)
		case err != nil:
			return nil, failure(err)
		case len(m.Data) == 0 || m.Data[0] == 0: // dropped, or taken by another
			return nil, none(nil)
		}
		v, err := decodeSaved(m.Data)
		if err != nil {
			return nil, none(err)
		}
		if v.nsp != nsp || v.session.PID != pid {
			return nil, none(errors.New("socketeer: it is of another namespace"))
		}
		if age := time.Since(m.Time); age > v.retain {
			return nil, none(nil)
		}
		taken, err := l.claim(ctx, subject, m.Sequence, token)
		if err != nil {
			return nil, failure(err)
		}
		if taken {
			l.count.taken.Add(1)
			v.session.Live = v.session.Live && !l.hooks.gone(v.node)
			return &v.session, nil
		}
	}
}

// claim writes a token in place of what has a sequence. It is false if that is
// not the last any more: another has taken it, or it was saved again.
func (l *Log) claim(ctx context.Context, subject string, sequence uint64, token []byte) (bool, error) {
	err := l.put(ctx, subject, token, jetstream.WithExpectLastSequencePerSubject(sequence))
	if !isCode(err, codeWrongSequence) {
		return err == nil, err
	}
	// Or it was this very write, whose answer got lost.
	m, err := l.last(ctx, subject)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, err
	}
	return err == nil && string(m.Data) == string(token), nil
}

// last reads what is kept at a subject, from the stream's leader: another
// replica might not know yet what has just been written.
func (l *Log) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		ask, cancel := context.WithTimeout(ctx, maxAttempt)
		m, err := l.sessions.Load().GetLastMsgForSubject(ask, subject)
		cancel()
		if err == nil || errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, nats.ErrConnectionClosed) {
			return m, err
		}
		if !sleep(ctx, jitter(pause)) {
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}
