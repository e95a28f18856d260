// Package cli is the socketeer command. One file a subcommand.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/socketeer-io/socketeer/internal/app/config"
	"github.com/socketeer-io/socketeer/internal/app/supervisor"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// Main runs the command and returns the process's exit status: 0, 1 after an
// error, 2 when the command line or the configuration is to blame, so that
// starting it again would not help.
func Main(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, message(err))
	var (
		ours *config.Error
		load *loadgen.ConfigError
	)
	if errors.As(err, &ours) || errors.As(err, &load) || !strings.HasPrefix(err.Error(), prefix) {
		return supervisor.ExitConfig // the latter is how cobra's own errors look
	}
	return 1
}

// prefix is what every error of ours begins with.
const prefix = "socketeer: "

// message is an error as one line.
func message(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if !strings.HasPrefix(text, prefix) {
		text = prefix + text + "; see --help"
	}
	return text
}

// wrong is an error of the command line.
func wrong(format string, args ...any) error {
	return &config.Error{Problems: []string{fmt.Sprintf(format, args...)}}
}

// flagError says which flag may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, "--"+f.Name)
		}
	})
	if hint := config.DidYouMean("--"+unknown.GetSpecifiedName(), known); hint != "" {
		return wrong("%v%s", err, hint)
	}
	return err
}

// noArgs refuses arguments of a command with subcommands, and says which of
// them may have been meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var known []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			known = append(known, c.Name())
		}
	}
	return wrong("unknown command %q for %q%s; see --help", args[0], cmd.CommandPath(), config.DidYouMean(args[0], known))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "socketeer",
		Short: "Socket.IO that scales out",
		Long: `Socketeer serves Socket.IO clients from one node or from a cluster of them.

  socketeer up                 a chat on three nodes, on this machine
  socketeer serve              one node
  socketeer bench              load on nodes, and what it costs them

Every setting is a flag, an environment variable (--ping-interval is
SOCKETEER_PING_INTERVAL) and a key of a YAML file (--config), in falling order
of precedence. "socketeer config print" shows what counts.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newServeCommand(), newUpCommand(), newBenchCommand(), newConfigCommand(), newVersionCommand())
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  socketeer version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			version := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				version = info.Main.Version
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "socketeer %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// interrupted returns a context that ends with the first SIGINT or SIGTERM,
// and calls again with the second.
func interrupted(ctx context.Context, again func()) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		first := false
		for range signals {
			if first {
				again()
				return
			}
			first = true
			cancel()
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

func newLogger(w io.Writer, l config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // checked when the configuration was loaded
	}
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// load reads the configuration for a command with flags of package config.
func load(cmd *cobra.Command, defaults map[string]string) (config.Config, error) {
	return loadFrom(cmd, config.Sources{Defaults: defaults})
}

// loadFrom adds to src what every command reads.
func loadFrom(cmd *cobra.Command, src config.Sources) (config.Config, error) {
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return config.Config{}, err
	}
	src.File, src.Environ, src.Flags = file, os.Environ(), cmd.Flags()
	return config.Load(src)
}

func addConfigFlag(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "YAML file to read settings from")
}
