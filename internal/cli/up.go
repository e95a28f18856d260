package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/app"
	"github.com/socketeer-io/socketeer/internal/app/config"
	"github.com/socketeer-io/socketeer/internal/app/supervisor"
	"github.com/socketeer-io/socketeer/internal/process"
)

const (
	maxNodes   = 64
	adminStart = "127.0.0.1:3901"
	// killAfter is how long a node may take to stop beyond its drain time.
	killAfter = 3 * time.Second
)

const upExample = `  socketeer up
  socketeer up --nodes 5 --addr 127.0.0.1:4001
  socketeer up --addr 0.0.0.0:3001           for other machines and phones, too
  socketeer up --app bench --log-level warn
  socketeer up --adapter redis-streams       on a Redis of its own, or --redis URL`

// upWithout are the settings that up makes itself.
func upWithout() []string {
	return []string{"name", "advertise", "cluster-addr", "cluster-peers", "cluster-wait", "cluster-token"}
}

func newUpCommand() *cobra.Command {
	var nodes int
	defaults := map[string]string{"addr": "127.0.0.1:3001", "admin-addr": adminStart, "drain": "2s"}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole cluster on this machine",
		Long: `Run a cluster of nodes on this machine, each a process of its own. Nodes that
die are started again. Their logs are merged, and a table shows what runs where.
Ctrl-C stops them all.

They cluster by embedded NATS; with --adapter mesh by connections of their own;
with --adapter redis, redis-sharded or redis-streams over a Redis that is
started for them alone and keeps nothing; with --nats or --redis over servers
that exist.

With --recovery and --nats-jetstream clients recover even after the end of all
nodes: each of at least three has a directory in --nats-jetstream-dir.

The first node gets --addr and --admin-addr, the others the ports after them.
The other settings are those of "serve" and go to every node.`,
		Example: upExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if nodes < 1 || nodes > maxNodes {
				return wrong("--nodes %d: takes 1 to %d", nodes, maxNodes)
			}
			cfg, err := loadFrom(cmd, config.Sources{Defaults: defaults, Together: true})
			if err != nil {
				return err
			}
			if cfg.Cluster.Adapter == config.AdapterMemory && nodes > 1 {
				return wrong("--adapter memory: is for one node, and --nodes is %d", nodes)
			}
			var extra []supervisor.Child
			if cfg.Cluster.UsesRedis() && cfg.Cluster.Redis == "" {
				redis, url, remove, err := redisServer(cfg.Cluster.Adapter)
				if err != nil {
					return err
				}
				defer remove()
				cfg.Cluster.Redis, extra = url, []supervisor.Child{redis}
			}
			children, err := plan(cmd.Context(), cfg, nodes)
			if err != nil {
				return err
			}
			return supervise(cmd.Context(), cfg, extra, children)
		},
	}
	cmd.Flags().SortFlags = false
	addConfigFlag(cmd)
	cmd.Flags().IntVar(&nodes, "nodes", 3, "how many")
	config.AddFlags(cmd.Flags(), defaults, upWithout()...)
	return cmd
}

// plan makes the nodes' command lines.
func plan(ctx context.Context, cfg config.Config, nodes int) ([]supervisor.Child, error) {
	public, err := consecutive(ctx, "addr", cfg.Addr, nodes)
	if err != nil {
		return nil, err
	}
	admin := make([]string, nodes)
	if cfg.AdminAddr != "" {
		if admin, err = consecutive(ctx, "admin-addr", cfg.AdminAddr, nodes); err != nil {
			if cfg.AdminAddr != adminStart {
				return nil, err
			}
			// Nobody asked for these: another "up" may well have them.
			if admin, err = app.FreeAddrs(ctx, nodes); err != nil {
				return nil, err
			}
		}
	}
	peers, err := app.FreeAddrs(ctx, nodes)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("socketeer: no way to start other nodes: %w", err)
	}
	embedded := cfg.Cluster.Adapter == config.AdapterMesh || cfg.Cluster.Adapter == config.AdapterNATS && cfg.Cluster.NATS == ""
	if embedded {
		cfg.Cluster.Token, cfg.Cluster.Wait = rand.Text(), 0
	}
	dir := cfg.Cluster.JetStream.Dir
	environ := process.Share(config.CleanEnviron(os.Environ()), nodes)
	children := make([]supervisor.Child, nodes)
	for i := range children {
		cfg.Name = "node-" + strconv.Itoa(i+1)
		cfg.Addr, cfg.AdminAddr = public[i], admin[i]
		if embedded {
			cfg.Cluster.Addr, cfg.Cluster.Peers = peers[i], peers
		}
		if dir != "" {
			cfg.Cluster.JetStream.Dir = filepath.Join(dir, cfg.Name)
		}
		args, env := cfg.CommandLine()
		children[i] = supervisor.Child{
			Name: cfg.Name, Command: self, Args: append([]string{"serve"}, args...), Env: append(environ[:len(environ):len(environ)], env...),
			URL: "http://" + reachable(public[i]),
		}
		if admin[i] != "" {
			children[i].AdminURL = "http://" + reachable(admin[i])
		}
	}
	return children, nil
}

// consecutive returns n addresses from addr on, after making sure that they
// are free.
func consecutive(ctx context.Context, key, addr string, n int) ([]string, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, wrong("--%s %q is not HOST:PORT", key, addr)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 1 || port+n-1 > 65535 {
		return nil, wrong("--%s %s leaves no room for %d ports", key, addr, n)
	}
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = net.JoinHostPort(host, strconv.Itoa(port+i))
		if err := app.CheckFree(ctx, key, addrs[i]); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// reachable is an address to connect to for one to listen on.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// supervise keeps the nodes running, and before them what they need.
func supervise(ctx context.Context, cfg config.Config, needed, nodes []supervisor.Child) error {
	s := supervisor.New(supervisor.Options{
		Children: slices.Concat(needed, nodes), Out: os.Stdout, Colour: isTerminal(os.Stdout),
		Hint:        hint(cfg.App, nodes),
		StopTimeout: app.StopTime(cfg) + killAfter,
	})
	ctx, done := interrupted(ctx, s.Kill)
	defer done()
	return s.Run(ctx)
}

func hint(application string, nodes []supervisor.Child) string {
	if application == config.AppChat {
		return "The chat is at " + nodes[0].URL + " and on all other nodes. Ctrl-C stops everything."
	}
	return "Ctrl-C stops everything."
}

// isTerminal reports whether f is one that shows colours.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
}
