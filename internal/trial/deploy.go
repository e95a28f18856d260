package trial

import (
	"context"
	"errors"
	"time"

	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/fleet"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

const (
	// longestLead is how long the load runs before the first server is
	// replaced, and again at the end.
	longestLead = 2 * time.Second
	// stragglers are waited for so long: what was lost never comes.
	stragglers = 2 * time.Second
	// recovery is how long this binary's nodes keep sessions: what Node.js
	// servers do by default.
	recovery = 2 * time.Minute
)

// DeployOptions say how servers are replaced.
type DeployOptions struct {
	capacity.Load
	// Every is the time from one replacement to the next. What a replacement
	// takes longer, the next is late.
	Every time.Duration
	// Drain is what this binary's nodes take to send their clients away.
	Drain time.Duration
	// Kill ends servers by SIGKILL instead of SIGTERM.
	Kill bool
	// Recover makes clients ask for the session they had, and this binary's
	// nodes keep them.
	Recover bool
	// PIDs are processes that the servers need besides, such as a Redis: their
	// CPU time and memory count as the servers'.
	PIDs []int
}

func (o *DeployOptions) lead() time.Duration { return min(longestLead, o.Every) }

// length is how long the load is measured.
func (o *DeployOptions) length() time.Duration {
	return 2*o.lead() + time.Duration(o.Nodes)*o.Every
}

// Deploy starts servers, puts a load on them, and meanwhile replaces them one
// by one: the new one takes the old one's address. The report has it in
// [loadgen.Report].Deploy.
func Deploy(ctx context.Context, s Setup, o DeployOptions) (*loadgen.Report, error) {
	s = s.withDefaults()
	own := s.Serve == ""
	if own {
		s.Args = append(s.Args[:len(s.Args):len(s.Args)], "--drain="+o.Drain.String())
		if o.Recover {
			s.Args = append(s.Args, "--recovery="+recovery.String())
		}
	}
	servers, err := fleet.Start(ctx, fleet.Options{
		Nodes: o.Nodes, Command: s.Serve, Adapter: s.Adapter, Args: s.Args, Progress: s.Progress, StopTimeout: o.Drain + 15*time.Second,
	})
	if err != nil {
		return nil, err
	}
	defer servers.Close()
	if err := loadgen.ReplacedFit(servers.PIDs(), o.Sockets()); err != nil {
		return nil, err
	}
	r := &rollout{setup: s, opts: o, servers: servers}
	report, err := loadgen.Run(ctx, loadgen.Config{
		Addrs: servers.Addrs(), PIDs: o.PIDs, Servers: servers.Processes, Mode: loadgen.Deploy, Conns: o.Conns, Room: o.Room, Rate: o.Deliveries,
		Payload: s.Payload, Polling: o.Polling, Recover: o.Recover, Warmup: s.Warmup, Processes: s.Processes, Worker: s.Worker,
		Duration: o.length(), Drain: stragglers,
		During:   r.run,
		Progress: func(p loadgen.Progress) { s.say("%s", p) },
	})
	if err != nil {
		if ctx.Err() == nil {
			err = errors.Join(err, servers.Failed())
		}
		return nil, err
	}
	d := report.Deploy
	d.Servers, d.Replaced, d.Kill, d.Every = o.Nodes, r.replaced, o.Kill, o.Every.Seconds()
	if own && !o.Kill {
		d.Drain = o.Drain.Seconds()
	}
	return report, nil
}

// rollout replaces servers.
type rollout struct {
	setup    Setup
	opts     DeployOptions
	servers  *fleet.Fleet
	replaced int // while there was load
}

func (r *rollout) run(ctx context.Context) error {
	next, end := time.Now().Add(r.opts.lead()), time.Now().Add(r.opts.length())
	for i := range r.servers.Len() {
		if err := wait(ctx, time.Until(next)); err != nil {
			return err
		}
		next = next.Add(r.opts.Every)
		began := time.Now()
		if r.opts.Kill {
			r.servers.Kill(i)
		} else {
			r.servers.Stop(ctx, i)
		}
		gone := time.Since(began)
		if err := r.servers.Restart(ctx, i); err != nil {
			return err
		}
		r.setup.say("replaced server %d of %d: ended in %.1f s, the new one was ready after %.1f s",
			i+1, r.servers.Len(), gone.Seconds(), (time.Since(began) - gone).Seconds())
		if time.Now().Before(end) {
			r.replaced++
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
