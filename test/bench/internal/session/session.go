// Package session runs scenarios against servers, in rounds.
package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/socketeer-io/socketeer/test/bench/internal/results"
	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/server"
)

// Config says what to run.
type Config struct {
	Scenarios []scenario.Scenario
	Servers   []server.Kind
	Rounds    int
	Duration  time.Duration // of the measured part of a load
	Tools     server.Tools
	Progress  *Progress
}

// cast are the servers that take part in s.
func (c Config) cast(s scenario.Scenario) []server.Kind {
	var kinds []server.Kind
	for _, k := range c.Servers {
		if k.Plays(s) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Check makes sure that there is something to run, and all it needs.
func (c *Config) Check() error {
	var needed []server.Kind
	for _, s := range c.Scenarios {
		needed = append(needed, c.cast(s)...)
	}
	if len(needed) == 0 {
		return errors.New("socketeer: none of the servers takes part in any of the scenarios: see --list")
	}
	return c.Tools.Check(needed)
}

// runs is the number of runs there will be, those that warm up included.
func (c Config) runs() int {
	n := 0
	for _, s := range c.Scenarios {
		n += (s.Warmups() + s.Rounds(c.Rounds)) * len(c.cast(s))
	}
	return n
}

// Run runs every scenario in c.Rounds rounds, and stops everything it started.
// It returns what was measured up to an error, such as a server that ends by
// itself or the end of ctx, beside that error. Check must have passed.
func Run(ctx context.Context, c Config) ([]results.Run, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &runner{Config: c, died: cancel}
	c.Progress.begin(c.runs())
	defer c.Progress.end()
	for _, s := range c.Scenarios {
		err := r.play(ctx, s)
		if ctx.Err() != nil {
			// Whatever failed then failed because of it.
			return r.measured, context.Cause(ctx)
		}
		if err != nil {
			return r.measured, err
		}
	}
	return r.measured, nil
}

// runner is a session that runs. It belongs to one goroutine.
type runner struct {
	Config
	died     context.CancelCauseFunc // ends the session because a server ended
	measured []results.Run
}

// play runs one scenario. Servers stay up over all rounds, as idle neighbours
// of the one being measured, except when the scenario wants them fresh.
func (r *runner) play(ctx context.Context, s scenario.Scenario) (err error) {
	kinds := r.cast(s)
	up := map[string]*server.Setup{}
	defer func() {
		for _, setup := range up {
			err = errors.Join(err, setup.Stop())
		}
	}()
	if !s.Fresh() {
		for _, k := range kinds {
			r.Progress.step(s, "start", k.Name)
			setup, err := r.start(ctx, s, k)
			if err != nil {
				return err
			}
			up[k.Name] = setup
		}
	}
	for range s.Warmups() {
		for _, k := range kinds {
			if _, err := r.bench(ctx, s, up[k.Name], "warm-up"); err != nil {
				return err
			}
		}
	}
	rounds := s.Rounds(r.Rounds)
	for round := range rounds {
		for i, k := range Order(kinds, round) {
			label := fmt.Sprintf("round %d of %d", round+1, rounds)
			report, err := r.measure(ctx, s, k, up[k.Name], label)
			if err != nil {
				return err
			}
			r.measured = append(r.measured, results.Run{Scenario: s.Name, Server: k.Name, Round: round + 1, Position: i + 1, Report: report})
		}
	}
	return nil
}

// start starts k for s, or, when its nodes are replaced under load, what they
// need besides: "socketeer bench deploy" starts them.
func (r *runner) start(ctx context.Context, s scenario.Scenario, k server.Kind) (*server.Setup, error) {
	if s.Replaces() {
		return r.Tools.Prepare(ctx, k, r.died)
	}
	return r.Tools.Start(ctx, k, s.Nodes, r.died)
}

// measure runs s on setup, or, when that is nil, on a fresh server.
func (r *runner) measure(ctx context.Context, s scenario.Scenario, k server.Kind, setup *server.Setup, label string) (report json.RawMessage, err error) {
	if setup == nil {
		if setup, err = r.start(ctx, s, k); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, setup.Stop()) }()
	}
	return r.bench(ctx, s, setup, label)
}

// Order returns things in the order of a round. Each round has another order
// than the one before, and over some rounds each thing gets each place: who
// runs after whom must not decide.
func Order[T any](things []T, round int) []T {
	ordered := slices.Clone(things)
	if n := len(things); n > 2 {
		first := round / 2 % n
		ordered = slices.Concat(things[first:], things[:first])
	}
	if round%2 == 1 {
		slices.Reverse(ordered)
	}
	return ordered
}
