package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/socketeer-io/socketeer/internal/app/config"
	"github.com/socketeer-io/socketeer/internal/app/supervisor"
)

// upWithout are the settings that up makes itself.
var upWithout = []string{
	"name", "addr", "admin-addr", "advertise", "adapter", "nats", "cluster-addr", "cluster-peers", "cluster-wait",
}

const maxNodes = 64

func newUpCommand() *cobra.Command {
	var (
		nodes int
		addr  string
	)
	defaults := map[string]string{"drain": "2s"}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole cluster on this machine",
		Long: `Run a cluster of nodes on this machine, each a process of its own, on embedded
NATS. Nodes that die are started again. Their logs are merged, and a table
shows what runs where. Ctrl-C stops them all.

The nodes get consecutive ports from --addr on; operators' listeners get free
ports of their own. Other settings are those of "serve" and go to every node.`,
		Example: "  socketeer up\n  socketeer up --nodes 5 --addr 127.0.0.1:4001 --app bench",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if nodes < 1 || nodes > maxNodes {
				return &config.Error{Problems: []string{fmt.Sprintf("--nodes is %d: it takes 1 to %d", nodes, maxNodes)}}
			}
			if _, err := load(cmd, defaults); err != nil { // told once, and not by every node
				return err
			}
			children, err := plan(cmd, nodes, addr)
			if err != nil {
				return err
			}
			return supervise(cmd.Context(), children)
		},
	}
	addConfigFlag(cmd)
	cmd.Flags().IntVar(&nodes, "nodes", 3, "how many")
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:3001", "address of the first node for clients; the others get the ports after it")
	config.AddFlags(cmd.Flags(), defaults, upWithout...)
	return cmd
}

// plan makes the command lines of the nodes.
func plan(cmd *cobra.Command, nodes int, addr string) ([]supervisor.Child, error) {
	public, err := consecutive(addr, nodes)
	if err != nil {
		return nil, err
	}
	private, err := freePorts(2 * nodes)
	if err != nil {
		return nil, err
	}
	admin, peers := private[:nodes], private[nodes:]
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("socketeer: no way to start other nodes: %w", err)
	}
	common := passedOn(cmd)
	children := make([]supervisor.Child, nodes)
	for i := range children {
		name := "node-" + strconv.Itoa(i+1)
		args := []string{
			"serve", "--name", name, "--addr", public[i], "--admin-addr", admin[i],
			"--cluster-addr", peers[i], "--cluster-wait", "0s",
		}
		if nodes > 1 {
			args = append(args, "--cluster-peers", strings.Join(peers, ","))
		}
		children[i] = supervisor.Child{
			Name: name, Command: self, Args: append(args, common...), Env: os.Environ(),
			URL: "http://" + public[i], AdminURL: "http://" + admin[i],
		}
	}
	return children, nil
}

// passedOn are the flags that every node gets, besides its own.
func passedOn(cmd *cobra.Command) []string {
	var args []string
	for _, k := range config.Keys() {
		f := cmd.Flags().Lookup(k.Name)
		if f == nil || k.Name == "addr" {
			continue
		}
		if f.Changed || k.Name == "drain" {
			args = append(args, "--"+k.Name+"="+f.Value.String())
		}
	}
	if file := cmd.Flags().Lookup("config"); file.Changed {
		args = append(args, "--config="+file.Value.String())
	}
	return args
}

// consecutive returns n addresses from addr on, after making sure that they
// are free.
func consecutive(addr string, n int) ([]string, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &config.Error{Problems: []string{fmt.Sprintf("--addr %q is not HOST:PORT", addr)}}
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 1 || port+n-1 > 65535 {
		return nil, &config.Error{Problems: []string{fmt.Sprintf("--addr %q leaves no room for %d ports", addr, n)}}
	}
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = net.JoinHostPort(host, strconv.Itoa(port+i))
		l, err := net.Listen("tcp", addrs[i])
		if err != nil {
			return nil, fmt.Errorf("socketeer: %s is not free for a node: %w; use another --addr", addrs[i], err)
		}
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// freePorts returns n addresses on the loopback interface that are free now.
func freePorts(n int) ([]string, error) {
	addrs := make([]string, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("socketeer: no free port: %w", err)
		}
		defer l.Close() // all stay taken until all are known
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

func supervise(ctx context.Context, children []supervisor.Child) error {
	s := supervisor.New(supervisor.Options{
		Children: children, Out: os.Stdout, Colour: isTerminal(os.Stdout),
		Hint:        "Open any of the URLs. Ctrl-C stops all of them.",
		StopTimeout: 8 * time.Second,
	})
	ctx, done := interrupted(ctx, s.Kill)
	defer done()
	return s.Run(ctx)
}

// isTerminal reports whether f is one that shows colours.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
}
