package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/socketeer-io/socketeer/internal/app/config"
	"github.com/socketeer-io/socketeer/internal/loadgen"
	"github.com/socketeer-io/socketeer/internal/trial"
)

// trialFlags adds the flags of the commands that start servers themselves.
func trialFlags(f *pflag.FlagSet, s *trial.Setup, asJSON *bool, page *string, duration time.Duration) {
	f.SortFlags = false
	f.DurationVar(&s.Duration, "duration", duration, "measured time of a run")
	f.DurationVar(&s.Warmup, "warmup", 2*time.Second, "load before the measured time")
	f.IntVar(&s.Payload, "payload", 64, "bytes of data in a message")
	f.Var(shareValue{&s.Polling}, "polling", "share of the connections on HTTP long-polling, such as 5%")
	serverFlags(f, s)
	processesFlag(f, &s.Processes)
	f.BoolVar(asJSON, "json", false, "print the report as JSON")
	f.StringVar(page, "html", "", "write the report as a page to this file, too")
}

// processesFlag adds the flag that says how many processes the load comes from.
func processesFlag(f *pflag.FlagSet, processes *int) {
	f.IntVar(processes, "processes", 0, "processes that share the connections (default: as many as the limit on open files makes necessary)")
}

// serverFlags adds the flags that say what servers to start.
func serverFlags(f *pflag.FlagSet, s *trial.Setup) {
	f.StringVar(&s.Adapter, "adapter", config.AdapterNATS, "what joins several of this binary's servers: nats (embedded) or mesh")
	f.StringVar(&s.Serve, "serve", "", `command of a server, such as "node ws-server.js {port}"; also {node}, {nodes}, {addrs} (default: this binary's bench application)`)
}

// table is a report that people can read, too.
type table interface{ WriteTable(io.Writer) error }

// try runs trials until they are through or a signal comes, and prints what
// they return.
func try(cmd *cobra.Command, s trial.Setup, asJSON bool, run func(context.Context, trial.Setup) (table, error)) error {
	if s.Adapter != config.AdapterNATS && s.Adapter != config.AdapterMesh {
		return wrong("--adapter %s: takes nats or mesh", s.Adapter)
	}
	if s.Duration < 0 || cmd.Flags().Changed("duration") && s.Duration == 0 || s.Warmup < 0 {
		return wrong("--duration %s and --warmup %s: times to run", s.Duration, s.Warmup)
	}
	if s.Payload < loadgen.MinPayload || s.Payload > loadgen.MaxPayload {
		return wrong("--payload %d: takes %d to %d bytes", s.Payload, loadgen.MinPayload, loadgen.MaxPayload)
	}
	if s.Processes < 0 || s.Processes > loadgen.MaxProcesses {
		return wrong("--processes %d: takes 1 to %d", s.Processes, loadgen.MaxProcesses)
	}
	ctx, done := interrupted(cmd.Context(), func() { os.Exit(1) })
	defer done()
	var err error
	if s.Worker, err = worker(); err != nil {
		return err
	}
	s.Progress = func(line string) { fmt.Fprintln(cmd.ErrOrStderr(), line) }
	report, err := run(ctx, s)
	if err != nil {
		return unlessInterrupted(ctx, err)
	}
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), report)
	}
	return report.WriteTable(cmd.OutOrStdout())
}
