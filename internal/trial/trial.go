// Package trial starts servers, puts load on them and stops them again, to
// find out what loads cost: for one load, for the rows of the field's table,
// for a capacity model and for growth curves.
package trial

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/fleet"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// perLoop is how many deliveries a second one event loop of the generator is
// given, at most.
const perLoop = 150_000

// Setup says how trials are run.
type Setup struct {
	// Serve is the command of a server, see [fleet.Options]; default: this
	// binary's bench application.
	Serve string
	// Adapter joins several of this binary's servers, see [fleet.Options].
	Adapter string
	// Args are further arguments of this binary's servers.
	Args []string
	// Worker is the command of a process that takes a share of the load, see
	// [loadgen.Config]; without it, this process does all.
	Worker []string
	// Processes is loadgen.Config's.
	Processes int
	// Duration is the measured part of a run, default 5 s, and Warmup the load
	// before it, default none.
	Duration, Warmup time.Duration
	// Polling is the share of the connections on HTTP long-polling, in the runs
	// of the table, a model and growth.
	Polling float64
	// Payload is the bytes of data in a message; default 64.
	Payload int
	// Progress, when set, is told what goes on, a line at a time.
	Progress func(line string)
}

func (s Setup) withDefaults() Setup {
	if s.Duration == 0 {
		s.Duration = 5 * time.Second
	}
	if s.Payload == 0 {
		s.Payload = 64
	}
	if s.Progress == nil {
		s.Progress = func(string) {}
	}
	return s
}

// adapter is what joins servers, as far as it is known.
func (s Setup) adapter() string {
	if s.Serve != "" {
		return ""
	}
	return s.Adapter
}

func (s Setup) say(format string, args ...any) { s.Progress(fmt.Sprintf(format, args...)) }

// Run starts servers for a load, puts it on them in rooms, and stops them.
func (s Setup) Run(ctx context.Context, l capacity.Load) (*loadgen.Report, error) {
	s = s.withDefaults()
	servers, err := fleet.Start(ctx, fleet.Options{
		Nodes: l.Nodes, Command: s.Serve, Adapter: s.Adapter, Args: s.Args, Progress: s.Progress,
	})
	if err != nil {
		return nil, err
	}
	defer servers.Close()
	report, err := loadgen.Run(ctx, loadgen.Config{
		Addrs: servers.Addrs(), PIDs: servers.PIDs(), Mode: loadgen.Rooms,
		Conns: l.Conns, Room: l.Room, Rate: l.Deliveries, Payload: s.Payload, Polling: l.Polling,
		Duration: s.Duration, Warmup: s.Warmup,
		Loops: int(math.Ceil(l.Deliveries / perLoop)), Processes: s.Processes, Worker: s.Worker,
		Progress: func(p loadgen.Progress) { s.say("%s", p) },
	})
	if err != nil && ctx.Err() == nil {
		err = errors.Join(err, servers.Failed())
	}
	return report, err
}

// title says what a load is.
func title(l capacity.Load) string {
	return fmt.Sprintf("%s connections on %d server(s), %s deliveries/s in rooms of %d%s",
		loadgen.Count(float64(l.Conns)), l.Nodes, loadgen.Count(l.Deliveries), l.Room, polling(", %s on polling", l.Polling))
}

// polling says which share of the connections is on HTTP long-polling; nothing
// when none is.
func polling(format string, share float64) string {
	if share == 0 {
		return ""
	}
	return fmt.Sprintf(format, strconv.FormatFloat(100*share, 'f', -1, 64)+" %")
}

// Measured returns what a report says that a load took. The rate is the one
// that was reached.
func Measured(l capacity.Load, r *loadgen.Report) capacity.Run {
	l.Deliveries = r.Load.PerSecond
	return capacity.Run{Load: l, Need: capacity.Need{
		ServerCores: r.Load.Server.Cores, GeneratorCores: r.Load.Generator.Cores,
		MemoryKiB: float64(r.Memory.AfterKiB),
	}}
}
