package jslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// duplicates is for how long JetStream knows what it has kept: longer than a
// batch is sent again.
const duplicates = 2 * time.Minute

// Codes of errors of JetStream that the client library has no names for.
const (
	codeNoPeers      = 10005 // fewer servers than replicas, or none with the room
	codeUnavailable  = 10008 // for the moment: there is no leader
	codeNoStorage    = 10047
	codeNoMemory     = 10028
	codeNotClustered = 10074 // replicas on a single server
)

// Names of what this log has in JetStream.
func (c *Config) logStream() string                  { return c.Stream + "-log" }
func (c *Config) sessionStream() string              { return c.Stream + "-sessions" }
func (c *Config) logSubject(sender string) string    { return c.Stream + ".log." + sender }
func (c *Config) sessionSubject(token string) string { return c.Stream + ".session." + token }

// begin finds the streams and where the one of messages ends. It tries for as long
// as ctx lasts while they have no leader.
func (l *Log) begin(ctx context.Context) error {
	for {
		ask, cancel := context.WithTimeout(ctx, patience)
		err := l.setup(ask)
		if err == nil {
			err = l.read.start(ask)
		}
		cancel()
		if err == nil || !passing(err) || !sleep(ctx, minPause) {
			return err
		}
	}
}

// passing reports whether an error may go away by itself.
func passing(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, nats.ErrTimeout) || isCode(err, codeUnavailable) ||
		errors.Is(err, nats.ErrDisconnected) // it was under way when the connection was replaced
}

// patiently asks again while there is an error that may pass, until ctx ends.
func patiently(ctx context.Context, ask func() error) error {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if err := ask(); err == nil || !passing(err) || !sleep(ctx, jitter(pause)) {
			return err
		}
	}
}

// setup finds the streams, or makes them.
func (l *Log) setup(ctx context.Context) error {
	log := l.streamConfig(l.cfg.logStream(), l.cfg.logSubject("*"))
	log.Description = "what the nodes of a Socketeer cluster send, for clients that come back"
	log.Duplicates = min(duplicates, log.MaxAge)
	log.DenyDelete, log.DenyPurge = true, true // see aged: what is gone has been too old
	sessions := l.streamConfig(l.cfg.sessionStream(), l.cfg.sessionSubject("*"))
	sessions.Description = "sessions of the clients of a Socketeer cluster"
	sessions.Duplicates = min(duplicates, sessions.MaxAge)
	sessions.MaxMsgsPerSubject = 1
	for _, cfg := range []jetstream.StreamConfig{log, sessions} {
		s, err := l.ensure(ctx, cfg)
		if err != nil {
			return err
		}
		if cfg.Name == log.Name {
			l.stream.Store(&streamHandle{s})
		} else {
			l.sessions.Store(&streamHandle{s})
		}
	}
	return nil
}

func (l *Log) streamConfig(name, subject string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Subjects: []string{subject}, Storage: l.cfg.Storage, Replicas: l.replicas(),
		MaxAge: l.keep(), MaxBytes: l.cfg.MaxBytes, Discard: jetstream.DiscardOld,
	}
}

// replicas is how many are asked for: unless that is configured, three, and one
// when the server turns out to be alone.
func (l *Log) replicas() int {
	switch {
	case l.cfg.Replicas > 0:
		return l.cfg.Replicas
	case l.single.Load():
		return 1
	}
	return 3
}

// ensure returns a stream that there is, as it is, or makes it. One that forgets
// too early is changed in that.
func (l *Log) ensure(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := l.js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = l.create(ctx, cfg)
	}
	if err != nil {
		return nil, explain(cfg, err)
	}
	have := s.CachedInfo().Config
	if have.Storage != cfg.Storage || l.cfg.Replicas > 0 && have.Replicas != cfg.Replicas || have.MaxBytes != cfg.MaxBytes {
		l.log.Warn("the stream is there and stays as it is; change or delete it with the nats command", "stream", cfg.Name,
			"storage", have.Storage, "replicas", have.Replicas, "maxBytes", have.MaxBytes,
			"want", fmt.Sprintf("%v, %d replicas, %d bytes", cfg.Storage, cfg.Replicas, cfg.MaxBytes))
	}
	if have.MaxAge > 0 && have.MaxAge < cfg.MaxAge {
		have.MaxAge = cfg.MaxAge
		if s, err = l.js.UpdateStream(ctx, have); err != nil {
			return nil, explain(cfg, err)
		}
	}
	return s, nil
}

// create makes a stream. Another node may be about to do so, too.
func (l *Log) create(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := l.js.CreateStream(ctx, cfg)
	if isCode(err, codeNotClustered) && l.cfg.Replicas == 0 {
		l.single.Store(true)
		cfg.Replicas = 1
		s, err = l.js.CreateStream(ctx, cfg)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return l.js.Stream(ctx, cfg.Name)
	}
	return s, err
}

func isCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}

// explain says what there is to do about an error of JetStream.
func explain(cfg jetstream.StreamConfig, err error) error {
	what := ""
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, jetstream.ErrNoStreamResponse):
		what = "the NATS server has no JetStream, or not for this account: start it with -js, or put \"jetstream {}\" into its configuration"
	case isCode(err, codeNotClustered):
		what = fmt.Sprintf("%d replicas need a cluster of as many NATS servers", cfg.Replicas)
	case isCode(err, codeNoPeers):
		what = fmt.Sprintf("%d replicas need as many NATS servers with JetStream, and room for %d bytes on each", cfg.Replicas, cfg.MaxBytes)
	case isCode(err, codeNoStorage), isCode(err, codeNoMemory):
		what = fmt.Sprintf("there is no room for %d bytes: give JetStream more, or ask for less", cfg.MaxBytes)
	default:
		return fmt.Errorf("socketeer: jetstream: stream %s: %w", cfg.Name, err)
	}
	return fmt.Errorf("socketeer: jetstream: stream %s: %s: %w", cfg.Name, what, err)
}

// available returns why JetStream cannot be used. It waits for it while ctx
// lasts: servers that start up together elect a leader first.
func (l *Log) available(ctx context.Context) error {
	for {
		ask, cancel := context.WithTimeout(ctx, patience)
		_, err := l.js.AccountInfo(ask)
		cancel()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled) && !l.cfg.Starting,
			errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			return explain(jetstream.StreamConfig{Name: l.cfg.logStream()}, err)
		}
		if !sleep(ctx, minPause) {
			return fmt.Errorf("socketeer: jetstream does not answer: it needs more than half of its servers to be up: %w",
				errors.Join(err, context.Cause(ctx)))
		}
	}
}

// retainLoop lengthens the lives of the streams when a namespace wants that.
func (l *Log) retainLoop() {
	pause := minPause
	for {
		select {
		case <-l.longer:
		case <-l.ctx.Done():
			return
		}
		for {
			ask, cancel := context.WithTimeout(l.ctx, patience)
			err := l.setup(ask)
			cancel()
			if err == nil || l.ctx.Err() != nil {
				break
			}
			l.troubled("the streams do not keep as long as they should", err)
			if !sleep(l.ctx, jitter(pause)) {
				return
			}
			pause = min(2*pause, maxPause)
		}
		pause = minPause
	}
}
