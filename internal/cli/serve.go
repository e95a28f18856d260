package cli

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/app"
	"github.com/socketeer-io/socketeer/internal/app/config"
)

const serveExample = `  socketeer serve
  socketeer serve --addr :3001 --cluster-addr 10.0.0.1:6222 --cluster-peers 10.0.0.2:6222,10.0.0.3:6222
  socketeer serve --nats nats://10.0.0.9:4222 --app bench
  socketeer serve --nats nats://10.0.0.9:4222 --recovery 2m --nats-jetstream
  SOCKETEER_CLUSTER_TOKEN=... socketeer serve --config node.yaml

  curl 127.0.0.1:3900/readyz
  curl 127.0.0.1:3900/v1/nodes`

func newServeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one node",
		Long: `Run one node, alone or in a cluster.

Nodes cluster by themselves when each has a --cluster-addr that the others
reach, and --cluster-peers names at least one other; or through NATS servers
that exist already, with --nats.

With --recovery clients that were cut off go on where they were. What that needs
is kept in the nodes' memory, on up to three of them; with --nats-jetstream in
JetStream, on disk, so that it is there also after the end of all nodes.

SIGINT or SIGTERM drains the node: it says that it is not ready, and after
--drain-delay sends its clients away, over the time of --drain at most, and
takes no new ones. A second signal cuts.`,
		Example: serveExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(cmd, nil)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg)
		},
	}
	cmd.Flags().SortFlags = false
	addConfigFlag(cmd)
	config.AddFlags(cmd.Flags(), nil)
	return cmd
}

// serve runs a node until a signal comes.
func serve(ctx context.Context, cfg config.Config) error {
	ctx, done := interrupted(ctx, func() { os.Exit(1) })
	defer done()
	log := newLogger(os.Stderr, cfg.Log)
	node, err := app.Start(ctx, cfg, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil // somebody did not want it any more
		}
		return err
	}
	var failure error
	select {
	case <-ctx.Done():
	case failure = <-node.Failed():
	}
	stop, cancel := context.WithTimeout(context.Background(), app.StopTime(cfg))
	defer cancel()
	if err := node.Stop(stop); err != nil {
		log.Warn("the stop was cut short", "err", err)
	}
	return failure
}
