package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

const benchExample = `  socketeer bench --addr 127.0.0.1:3000 --mode idle --conns 10000 --pid $(pidof socketeer)
  socketeer bench --addr 127.0.0.1:3000 --mode echo --conns 500
  socketeer bench --addr 127.0.0.1:3001,127.0.0.1:3002 --mode rooms --conns 10000 --room 100 --rate 50000/s
  socketeer bench --addr 127.0.0.1:3001,127.0.0.1:3002 --mode direct --conns 2000 --rate 20k
  socketeer bench --addr 127.0.0.1:3000 --mode storm --conns 5000 --polling 5%
  socketeer bench --addr 127.0.0.1:3000 --mode drops --conns 1000 --recover`

const benchLong = `Measure servers that run the bench application (serve --app bench).

idle       connects and holds: accept rate, memory per connection. Start the
           server afresh: one that has served before reuses what it kept
echo       sends and waits for the acknowledgement
rooms      sends to rooms: every member gets every message
broadcast  sends to one room of all connections
direct     sends from one socket to one other, on another server when --addr has
           several: by its id, or with --to-user by a room it alone has joined
storm      puts all into rooms, cuts them at once, and lets them come back as the
           JavaScript client does (a second later, give or take a half; twice
           as long after each attempt that failed): how long that takes, and
           the servers' CPU time and peak memory meanwhile
drops      sends numbered messages to rooms, evenly, while each client is cut
           again and again for some seconds: how many each got, and with
           --recover how many sessions the server had kept. The first member
           of a room is the one that sends, and is not cut. Latency includes
           the messages that are replayed after a recovery

With --polling, a share of the connections, in any mode, stays on HTTP
long-polling, as behind proxies that know no WebSocket; latency is printed for
both kinds apart.

A process may open only so many files (ulimit -Hn). Where one cannot hold all
connections they come from several, in any mode, or by --processes; a room
stays within one. With --pid, the servers' limit is checked too.

With --rate, sends leave by the clock and latency counts from the time each was
due; without it, the servers are kept as busy as they can be. The load
generator takes processor time too: it is printed, and on a machine shared
with the servers it is what they lack.

The subcommands start servers themselves: table runs the rows that the field
compares by, deploy replaces servers under load, model and growth say what
loads cost. page compares the reports of runs.`

// newBenchCommand returns the command that puts load on servers which run the
// bench application, and prints what it cost them.
func newBenchCommand() *cobra.Command {
	var (
		cfg    loadgen.Config
		mode   string
		rate   rateValue
		asJSON bool
		page   string
	)
	cmd := &cobra.Command{
		Use:           "bench --addr HOST:PORT[,...] --mode MODE",
		Short:         "Measure servers under load",
		Long:          benchLong,
		Example:       benchExample,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := cfg // the flags stay as they were given: the page repeats them
			cfg.Mode, cfg.Rate = loadgen.Mode(mode), float64(rate)
			if err := checkMode(cmd.Flags(), cfg.Mode); err != nil {
				return err
			}
			for _, d := range []*time.Duration{&cfg.ReconnectDelay, &cfg.Settle, &cfg.Drain, &cfg.Coalesce} {
				if *d == 0 {
					*d = -1 // not at all; 0 would be the default
				}
			}
			cfg.Progress = func(p loadgen.Progress) { fmt.Fprintln(cmd.ErrOrStderr(), p) }
			return runBench(cmd, cfg, page, asJSON)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringSliceVar(&cfg.Addrs, "addr", nil, "servers, HOST:PORT[,HOST:PORT...]; connections are spread over them")
	f.StringVar(&mode, "mode", "", "what to do: see above")
	f.IntVar(&cfg.Conns, "conns", 1000, "number of connections")
	f.IntVar(&cfg.Room, "room", 100, "members per room; in rooms, storm and drops")
	f.Var(&rate, "rate", "deliveries (in rooms) or messages a second, such as 50000/s or 50k; 0 saturates")
	f.DurationVar(&cfg.Duration, "duration", 0, "measured time, not in drops (default 10s; in idle: none, held after reading memory; in storm: 60s at most)")
	f.DurationVar(&cfg.Warmup, "warmup", 2*time.Second, "load before the measured time; in echo, rooms, broadcast and direct")
	f.IntVar(&cfg.Payload, "payload", 64, "bytes of data in a message")
	f.IntSliceVar(&cfg.PIDs, "pid", nil, "server processes on this machine, PID[,PID...]: read their CPU time and memory")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON")
	f.StringVar(&page, "html", "", "write the report as a page to this file, too")
	f.IntVar(&cfg.Inflight, "inflight", 0, "messages on their way when saturating: per connection in echo and direct (default 1), per room (default 3)")
	f.DurationVar(&cfg.Coalesce, "coalesce", 50*time.Microsecond, "when saturating, look away this long after few events; 0: never")
	f.DurationVar(&cfg.Settle, "settle", 5*time.Second, "wait before memory is read in idle and storm")
	f.DurationVar(&cfg.Drain, "drain", 5*time.Second, "wait for outstanding messages at the end")
	f.IntVar(&cfg.ConnectInflight, "connect-inflight", 256, "connections being opened at once")
	f.IntVar(&cfg.Loops, "loops", 1, "event loops of a process of the generator, a thread each")
	processesFlag(f, &cfg.Processes)
	f.StringVar(&cfg.Path, "path", "/socket.io/", "path of the servers' endpoint")
	scenarioFlags(f, &cfg)
	cmd.AddCommand(newBenchTableCommand(), newBenchModelCommand(), newBenchGrowthCommand(), newBenchDeployCommand(), newBenchPageCommand(), newBenchWorkerCommand())
	for _, name := range []string{"addr", "mode"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // no such flag: a mistake in this function
		}
	}
	return cmd
}

// runBench makes one run, and prints its report, and writes it to a page when
// there is a file for one.
func runBench(cmd *cobra.Command, cfg loadgen.Config, page string, asJSON bool) error {
	if err := writable(page); err != nil {
		return err
	}
	made := origin(cmd)
	ctx, done := interrupted(cmd.Context(), func() { os.Exit(1) })
	defer done()
	var err error
	if cfg.Worker, err = worker(); err != nil {
		return err
	}
	report, err := loadgen.Run(ctx, cfg)
	if err != nil {
		return unlessInterrupted(ctx, err)
	}
	report.Origin = made
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), report)
	} else {
		err = report.WriteTable(cmd.OutOrStdout())
	}
	return errors.Join(err, writeRun(page, report))
}

// unlessInterrupted returns err, or that a signal is why there is one.
func unlessInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("socketeer: interrupted")
	}
	return err
}

// writeJSON writes a report for programs.
func writeJSON(w io.Writer, report any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}

// rateValue is a number a second: 50000, 50000/s, 50k/s or 1.5M.
type rateValue float64

// Set implements pflag.Value.
func (r *rateValue) Set(s string) error {
	number, unit := strings.TrimSuffix(s, "/s"), 1.0
	switch {
	case strings.HasSuffix(number, "k"):
		number, unit = number[:len(number)-1], 1e3
	case strings.HasSuffix(number, "M"):
		number, unit = number[:len(number)-1], 1e6
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v >= 0 && v*unit <= 1e9) {
		return fmt.Errorf("want a number a second, such as 50000/s or 50k")
	}
	*r = rateValue(v * unit)
	return nil
}

// String implements pflag.Value.
func (r *rateValue) String() string { return strconv.FormatFloat(float64(*r), 'f', -1, 64) }

// Type implements pflag.Value.
func (r *rateValue) Type() string { return "N/s" }
