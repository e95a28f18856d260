package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// newBenchWorkerCommand returns the command that processes of the load
// generator are started with; people have no use for it.
func newBenchWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "worker",
		Short:   "Take a share of a bench's load, as standard input tells",
		Example: "  socketeer bench worker",
		Hidden:  true,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return loadgen.Work(cmd.Context(), os.Stdin, os.Stdout)
		},
	}
}

// worker is the command line of a process that takes a share of the load.
func worker() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("socketeer: no way to start other processes: %w", err)
	}
	return []string{self, "bench", "worker"}, nil
}
