package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/app/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show and check settings",
		Long: `Show and check settings. Each has one name everywhere: ping-interval is the flag
--ping-interval, the variable SOCKETEER_PING_INTERVAL and the key ping-interval
of a YAML file, which --config or SOCKETEER_CONFIG names.`,
		Example: "  socketeer config print > node.yaml\n  socketeer config check node.yaml",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigPrintCommand(), newConfigCheckCommand())
	return cmd
}

func newConfigPrintCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print the settings that \"serve\" would use, as a YAML file",
		Long: `Print the settings that "serve" would use with the same flags, environment and
file, as a YAML file. Secrets are masked: write them in, or leave their keys out
of the file and set them in the environment. A start with a mask is refused.`,
		Example: "  socketeer config print > node.yaml\n  socketeer config print --config node.yaml --ping-interval 10s",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(cmd, nil)
			if err != nil {
				return err
			}
			text, err := cfg.YAML()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().SortFlags = false
	addConfigFlag(cmd)
	config.AddFlags(cmd.Flags(), nil)
	return cmd
}

func newConfigCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE",
		Short:   "Check a YAML file",
		Example: "  socketeer config check node.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := config.CheckFile(args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is fine\n", args[0])
			return err
		},
	}
}
