package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/fleet"
	"github.com/socketeer-io/socketeer/internal/trial"
)

const deployLong = `Start servers, put a paced load in rooms on them, and replace them one by one as
a deployment does: each is asked to end (SIGTERM; its clients are sent away
over the time of --drain) or killed, and a new one takes its address. Clients
come back as the JavaScript client does, a second later, give or take a half,
twice as long after each attempt that failed. They do so as behind a load
balancer that deals to all servers in turn and goes on to the next at once when
one cannot be connected to, or answers 503.

Printed are the share of the messages that arrived, of all there would have
been had nobody been away; the gaps, from the loss of a connection until the
client was back in its room; of those, what the last attempt took; how many
were connected at the end; and the servers' CPU time and memory, with what new
ones take to start. Latency includes the messages that are replayed after a
recovery.

Whoever loses a server goes to the others, so that each must be able to open
files for more than its share: with 3 servers, the last one to be replaced for
three quarters of all connections. What would not fit is refused.`

// newBenchDeployCommand returns the command that replaces servers under load.
func newBenchDeployCommand() *cobra.Command {
	var (
		s      trial.Setup
		o      trial.DeployOptions
		rate   = rateValue(10_000)
		asJSON bool
		page   string
	)
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Replace servers one by one under load",
		Long:  deployLong,
		Example: `  socketeer bench deploy
  socketeer bench deploy --nodes 5 --conns 10000 --rate 20k --drain 5s
  socketeer bench deploy --kill --recover
  socketeer bench deploy --serve "node ws-server.js {port}" --nodes 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Deliveries = float64(rate)
			switch {
			case o.Room < 1 || o.Conns < o.Room:
				return wrong("--conns %d, --room %d: want connections for a room", o.Conns, o.Room)
			case o.Nodes < 1 || o.Nodes > fleet.MaxNodes:
				return wrong("--nodes %d: takes 1 to %d", o.Nodes, fleet.MaxNodes)
			case o.Every <= 0 || o.Drain < 0:
				return wrong("--every %s, --drain %s: times", o.Every, o.Drain)
			case o.Deliveries == 0:
				return wrong("--rate 0: a deployment is measured at a fixed rate")
			}
			if err := writable(page); err != nil {
				return err
			}
			made := origin(cmd)
			return try(cmd, s, asJSON, func(ctx context.Context, s trial.Setup) (table, error) {
				report, err := trial.Deploy(ctx, s, o)
				if err != nil {
					return nil, err
				}
				report.Origin = made
				return report, writeRun(page, report)
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&o.Nodes, "nodes", 3, "number of servers")
	f.IntVar(&o.Conns, "conns", 1000, "number of connections")
	f.IntVar(&o.Room, "room", 100, "members per room")
	f.Var(&rate, "rate", "deliveries a second, such as 10000/s or 10k")
	f.DurationVar(&o.Every, "every", 10*time.Second, "time from one replacement to the next")
	f.DurationVar(&o.Drain, "drain", 2*time.Second, "time a node takes to send its clients away")
	f.BoolVar(&o.Kill, "kill", false, "kill servers (SIGKILL)")
	f.BoolVar(&o.Recover, "recover", false, "clients ask for the session they had, and this binary's servers keep them (others must by themselves)")
	f.Var(shareValue{&o.Polling}, "polling", "share of the connections on HTTP long-polling, such as 5%")
	f.DurationVar(&s.Warmup, "warmup", time.Second, "load before the measured time")
	f.IntVar(&s.Payload, "payload", 64, "bytes of data in a message")
	serverFlags(f, &s)
	f.IntSliceVar(&o.PIDs, "pid", nil, "processes that the servers need besides, such as a Redis, PID[,PID...]: their CPU time and memory count, too")
	processesFlag(f, &s.Processes)
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	f.StringVar(&page, "html", "", "write the report as a page to this file, too")
	return cmd
}
