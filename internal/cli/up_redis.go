package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/socketeer-io/socketeer/internal/app/supervisor"
)

// redisServer is a private Redis for the nodes of "up": at a Unix socket that
// only this user can open, with nothing kept on disk.
func redisServer(adapter string) (child supervisor.Child, url string, remove func(), err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return child, "", nil, wrong("--adapter %s needs redis-server, which is not installed: "+
			"\"apt-get install redis-server\" or \"brew install redis\", or name one that runs by --redis redis://HOST:PORT", adapter)
	}
	dir, err := os.MkdirTemp("", "socketeer-redis-")
	if err != nil {
		return child, "", nil, fmt.Errorf("socketeer: no place for Redis: %w", err)
	}
	socket := filepath.Join(dir, "redis.sock")
	return supervisor.Child{
		Name: "redis", Command: program, URL: "unix://" + socket, Socket: socket, Outlives: true, Env: os.Environ(),
		Args: []string{
			"--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--dir", dir,
			"--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning",
		},
	}, "unix://" + socket, func() { _ = os.RemoveAll(dir) }, nil
}
