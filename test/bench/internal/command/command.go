// Package command is the command line of the comparison.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/socketeer-io/socketeer/test/bench/internal/results"
	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/server"
	"github.com/socketeer-io/socketeer/test/bench/internal/session"
	"github.com/socketeer-io/socketeer/test/bench/internal/table"
)

// Exit statuses.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// Main runs the command and returns the process's exit status. SIGINT and
// SIGTERM stop what was started.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := Run(ctx, args, os.Stdout, os.Stderr)
	var wrong *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "socketeer: interrupted; everything that was started is stopped")
		return exitInterrupted
	}
	fmt.Fprintln(os.Stderr, strings.Join(strings.Fields(err.Error()), " "))
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailed
}

// Run is the command. Results go to stdout, progress to stderr. What was
// measured before an error, or before the end of ctx, is printed all the same.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	switch {
	case err != nil:
		return err
	case o.list:
		return list(stdout)
	case o.from != "":
		r, err := results.Load(o.from)
		if err != nil {
			return err
		}
		r.Runs = slices.DeleteFunc(r.Runs, func(run results.Run) bool { return !o.chosen(run) })
		return o.write(stdout, r)
	}
	cfg := o.session(stderr)
	if err := cfg.Check(); err != nil {
		return err
	}
	r := &results.Results{
		Date: time.Now(), Rounds: cfg.Rounds, Seconds: cfg.Duration.Seconds(), Scale: o.scale,
		Machine: append(results.Machine(), cfg.Tools.Versions(ctx)...),
	}
	runs, failed := session.Run(ctx, cfg)
	if r.Runs = runs; len(runs) == 0 {
		return failed
	}
	if failed != nil {
		r.Incomplete = failed.Error()
	}
	return errors.Join(failed, o.write(stdout, r))
}

// write prints the tables, and keeps them and the reports where wanted.
func (o *options) write(stdout io.Writer, r *results.Results) error {
	if err := table.Text(stdout, r); err != nil {
		return err
	}
	var errs []error
	if o.json != "" {
		errs = append(errs, r.Save(o.json))
	}
	if o.markdown != "" {
		var b strings.Builder
		if err := table.Markdown(&b, r); err != nil {
			errs = append(errs, err)
		} else if err := os.WriteFile(o.markdown, []byte(b.String()), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("socketeer: cannot keep the tables: %w", err))
		}
	}
	return errors.Join(errs...)
}

// chosen reports whether the options ask for a run.
func (o *options) chosen(run results.Run) bool {
	return slices.ContainsFunc(o.scenarios, func(s scenario.Scenario) bool { return s.Name == run.Scenario }) &&
		slices.ContainsFunc(o.servers, func(k server.Kind) bool { return k.Name == run.Server })
}

// session is what the options ask for.
func (o *options) session(stderr io.Writer) session.Config {
	return session.Config{
		Scenarios: o.scenarios, Servers: o.servers, Rounds: o.rounds, Duration: o.duration, Tools: o.tools(),
		Progress: &session.Progress{Out: stderr, Live: isTerminal(stderr)},
	}
}

// isTerminal reports whether w shows lines that are written over.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
