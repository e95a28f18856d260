package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/fleet"
	"github.com/socketeer-io/socketeer/internal/trial"
)

// newBenchGrowthCommand returns the command that measures growth curves.
func newBenchGrowthCommand() *cobra.Command {
	var (
		s      trial.Setup
		o      trial.GrowthOptions
		rate   = rateValue(10_000)
		asJSON bool
		page   string
	)
	cmd := &cobra.Command{
		Use:   "growth",
		Short: "Measure how the cost of a delivery grows with nodes and connections",
		Long: `Measure the servers' CPU time per delivery at a fixed rate: over the number of
nodes, with the same connections; and over the number of connections, with the
same nodes. Those are, without --keep-nodes, the fewest whose limit on open
files allows the most connections: 3 for 50,000 where a process may open 20,000
files. They serve the small numbers of connections, too, so that all runs of the
curve differ in their connections only. The load comes from as many processes
as that limit makes necessary.

Where open files or memory do not allow the next run, or it fails, the curve
ends there and says why.`,
		Example: `  socketeer bench growth
  socketeer bench growth --html growth.html
  socketeer bench growth --nodes 1,2,4 --conns 1000,10000 --rate 20k --json
  socketeer bench growth --serve "node ws-server.js {port}" --nodes 1 --keep-nodes 1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Rate = float64(rate)
			if o.Rate == 0 || o.Room < 1 || o.KeepConns < o.Room {
				return wrong("--rate %s, --room %d, --keep-conns %d: want a rate, and connections for a room", rate.String(), o.Room, o.KeepConns)
			}
			for _, n := range o.Nodes {
				if n < 1 || n > fleet.MaxNodes {
					return wrong("--nodes %d: takes 1 to %d", n, fleet.MaxNodes)
				}
			}
			if o.KeepNodes < 0 || o.KeepNodes > fleet.MaxNodes {
				return wrong("--keep-nodes %d: takes 1 to %d", o.KeepNodes, fleet.MaxNodes)
			}
			if slices.ContainsFunc(o.Conns, func(n int) bool { return n < o.Room }) {
				return wrong("--conns: a room has %d members", o.Room)
			}
			if err := writable(page); err != nil {
				return err
			}
			made := origin(cmd)
			return try(cmd, s, asJSON, func(ctx context.Context, s trial.Setup) (table, error) {
				g, err := trial.Grow(ctx, s, o)
				if err != nil {
					return nil, err
				}
				g.Origin = made
				return g, writeSheet(page, g.Sheet())
			})
		},
	}
	f := cmd.Flags()
	f.IntSliceVar(&o.Nodes, "nodes", []int{1, 2, 4, 8}, "numbers of nodes of the first curve")
	f.IntSliceVar(&o.Conns, "conns", []int{1000, 2000, 5000, 10_000, 20_000, 50_000}, "numbers of connections of the second curve")
	f.IntVar(&o.KeepConns, "keep-conns", 2000, "connections of the first curve")
	f.IntVar(&o.KeepNodes, "keep-nodes", 0, "nodes of the second curve (default: the fewest that may open files for the most connections)")
	f.IntVar(&o.Room, "room", 100, "members per room")
	f.Var(&rate, "rate", "deliveries a second, such as 10000/s or 10k")
	trialFlags(f, &s, &asJSON, &page, 5*time.Second)
	return cmd
}
