package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/trial"
)

// newBenchModelCommand returns the command that fits a capacity model.
func newBenchModelCommand() *cobra.Command {
	var (
		s        trial.Setup
		strength float64
		asJSON   bool
		page     string
	)
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Fit a capacity model to short runs: what a load would need",
		Long: `Make short runs that differ in nodes, members of rooms, connections and rates,
and fit a model of what they cost by least squares:

` + capacity.Formula + `

Printed are the coefficients, what the model says for each run beside what was
measured, and the same for one run that it was not fitted on: that is how far
to trust it. It knows no saturation; rates should be like those to come.`,
		Example: `  socketeer bench model
  socketeer bench model --duration 10s --json > model.json
  socketeer bench table --model model.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !(strength > 0 && strength <= 1000) {
				return wrong("--strength %g: how many times the load that fits two cores", strength)
			}
			if err := writable(page); err != nil {
				return err
			}
			made := origin(cmd)
			return try(cmd, s, asJSON, func(ctx context.Context, s trial.Setup) (table, error) {
				m, err := trial.FitModel(ctx, s, strength)
				if err != nil {
					return nil, err
				}
				m.Origin = made
				return m, writeSheet(page, m.Sheet())
			})
		},
	}
	cmd.Flags().Float64Var(&strength, "strength", 1, "connections and rates, as a multiple of what fits two cores")
	trialFlags(cmd.Flags(), &s, &asJSON, &page, 4*time.Second)
	return cmd
}
