package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/server"
)

// Limits of the options.
const (
	maxRounds = 100
	maxLoad   = 10 * time.Minute
)

const usage = `Measure Socketeer and its peers side by side.

Starts each server on free ports of 127.0.0.1, puts the same loads on all of
them with "socketeer bench", in rounds that change the order, and stops them.
Prints a table for each scenario (medians, with the extremes in brackets; the
ratio of ours to each peer, taken within each round) and whether the targets
are met. All scenarios in five rounds, those that take long in two, take about
30 minutes.

The figures are worth what the machine's quiet is worth: the line "other
processes" of a table should be near 0, and a round in which it was above
%g cores is marked as disturbed. Leave the machine alone while this runs.

Usage:
  compare [flags]
  make compare ARGS="[flags]"

Examples:
  compare                                          everything
  compare --only echo,idle --servers ours,uws      what the first targets are about
  compare --scale 0.1 --rounds 1 --duration 1s     a look in five minutes
  compare --json all.json --markdown all.md        keep reports and tables
  compare --from all.json --markdown all.md        tables of kept reports

Flags:
`

// options are the command line.
type options struct {
	scenarios []scenario.Scenario
	servers   []server.Kind
	rounds    int
	duration  time.Duration
	scale     float64

	json, markdown, from string
	list                 bool

	socketeer, peers, node, redis string
}

// usageError is a mistake on the command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return "socketeer: " + e.text + "; see --help" }

func wrong(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// parse reads the command line. Help goes to stdout, with flag.ErrHelp.
func parse(args []string, stdout io.Writer) (*options, error) {
	o := &options{}
	var only, servers string
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&only, "only", "", "run these `scenarios`, comma-separated, instead of all")
	f.StringVar(&servers, "servers", "", "compare these `servers`, comma-separated, instead of all")
	f.IntVar(&o.rounds, "rounds", 5, "how often each server is measured, `N`")
	f.DurationVar(&o.duration, "duration", 2*time.Second, "measured `time` of a load; idle servers are left alone as long before memory is read; in drops messages are sent eight times as long, in a deployment a node is replaced every two")
	f.Float64Var(&o.scale, "scale", 1, "`part` of the connections and rates, for small machines and quick looks")
	f.StringVar(&o.json, "json", "", "keep the reports of all runs in a `file`")
	f.StringVar(&o.markdown, "markdown", "", "keep the tables in a `file`, as Markdown")
	f.StringVar(&o.from, "from", "", "run nothing: print the tables of a `file` that --json has kept")
	f.BoolVar(&o.list, "list", false, "print the scenarios, servers and targets")
	f.StringVar(&o.socketeer, "socketeer", "bin/socketeer", "`binary` of our server and of the load generator")
	f.StringVar(&o.peers, "peers", "test/bench", "`folder` of the Node.js servers")
	f.StringVar(&o.node, "node", "node", "`command` that runs them")
	f.StringVar(&o.redis, "redis", "redis-server", "`command` that starts a Redis")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stdout, usage, scenario.DisturbedAbove)
		printFlags(stdout, f)
		return nil, err
	}
	if err != nil {
		return nil, wrong("%v", err)
	}
	switch {
	case f.NArg() > 0:
		return nil, wrong("%q is no flag", f.Arg(0))
	case o.rounds < 1 || o.rounds > maxRounds:
		return nil, wrong("--rounds %d: takes 1 to %d", o.rounds, maxRounds)
	case o.duration <= 0 || o.duration > maxLoad:
		return nil, wrong("--duration %v: takes up to %v", o.duration, maxLoad)
	case !(o.scale > 0 && o.scale <= 1):
		return nil, wrong("--scale %g: takes a part, such as 0.1; at most 1", o.scale)
	}
	if o.scenarios, err = choose("only", only, scenario.All(), func(s scenario.Scenario) string { return s.Name }); err != nil {
		return nil, err
	}
	for i, s := range o.scenarios {
		o.scenarios[i] = s.Scaled(o.scale)
	}
	if o.servers, err = choose("servers", servers, server.All(), func(k server.Kind) string { return k.Name }); err != nil {
		return nil, err
	}
	return o, nil
}

// choose returns the things that a comma-separated list names, in their usual
// order; all when it is empty.
func choose[T any](name, chosen string, all []T, nameOf func(T) string) ([]T, error) {
	if chosen == "" {
		return all, nil
	}
	wanted := map[string]bool{}
	for n := range strings.SplitSeq(chosen, ",") {
		wanted[strings.TrimSpace(n)] = true
	}
	var things []T
	var names []string
	for _, t := range all {
		names = append(names, nameOf(t))
		if wanted[nameOf(t)] {
			things = append(things, t)
			delete(wanted, nameOf(t))
		}
	}
	for n := range wanted {
		return nil, wrong("--%s: %q is none of %s", name, n, strings.Join(names, ", "))
	}
	return things, nil
}

// printFlags lists the flags in the manner of the socketeer command.
func printFlags(w io.Writer, f *flag.FlagSet) {
	f.VisitAll(func(fl *flag.Flag) {
		value, text := flag.UnquoteUsage(fl)
		if fl.DefValue != "" && fl.DefValue != "false" {
			text += fmt.Sprintf(" (default %s)", fl.DefValue)
		}
		fmt.Fprintf(w, "  --%-20s %s\n", fl.Name+" "+value, text)
	})
}

// tools are where the options say the programs are.
func (o *options) tools() server.Tools {
	return server.Tools{Socketeer: o.socketeer, Peers: o.peers, Node: o.node, Redis: o.redis}
}

// list prints what there is to choose from.
func list(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Scenarios (--only):\n")
	for _, s := range scenario.All() {
		fmt.Fprintf(&b, "  %-14s %s\n", s.Name, s.Title())
		var names []string
		for _, k := range server.All() {
			if k.Plays(s) {
				names = append(names, k.Name)
			}
		}
		fmt.Fprintf(&b, "  %-14s   on %s\n", "", strings.Join(names, ", "))
	}
	b.WriteString("\nServers (--servers):\n")
	for _, k := range server.All() {
		fmt.Fprintf(&b, "  %-14s %s\n", k.Name, k.Title)
	}
	b.WriteString("\nTargets, for the ratio of ours to the peer:\n")
	for _, t := range scenario.Targets() {
		fmt.Fprintf(&b, "  %s\n", t)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
