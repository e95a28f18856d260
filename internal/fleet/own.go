package fleet

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"

	"github.com/socketeer-io/socketeer/internal/app"
	"github.com/socketeer-io/socketeer/internal/app/config"
	"github.com/socketeer-io/socketeer/internal/process"
)

// ownNodes makes nodes of this very binary. One alone has the memory adapter;
// several are a cluster.
func ownNodes(ctx context.Context, opts Options) ([]*node, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("socketeer: no way to start a node: %w", err)
	}
	n := opts.Nodes
	addrs, err := app.FreeAddrs(ctx, 3*n) // public, operators', cluster
	if err != nil {
		return nil, err
	}
	token := rand.Text()
	environ := process.Share(config.CleanEnviron(os.Environ()), n)
	nodes := make([]*node, n)
	for i := range nodes {
		name := fmt.Sprintf("node-%d", i+1)
		public, admin := addrs[i], addrs[n+i]
		args := []string{
			"serve", "--name=" + name, "--addr=" + public, "--admin-addr=" + admin,
			"--app=" + config.AppBench, "--log-level=warn",
		}
		env := environ
		if n > 1 {
			peers := addrs[2*n:]
			args = append(args, "--cluster-addr="+peers[i])
			for _, p := range peers {
				args = append(args, "--cluster-peers="+p)
			}
			if opts.Adapter != "" {
				args = append(args, "--adapter="+opts.Adapter)
			}
			env = append(slices.Clip(environ), "SOCKETEER_CLUSTER_TOKEN="+token)
		}
		nodes[i] = &node{
			name: name, addr: public, admin: "http://" + admin,
			command: append(append([]string{self}, args...), opts.Args...), env: env,
		}
	}
	return nodes, nil
}
