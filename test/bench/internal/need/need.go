// Package need finds what tests of this module start, and skips those whose
// tools are not installed.
package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/socketeer-io/socketeer/test/bench/internal/server"
)

// Ours skips the test when our own server has not been built.
func Ours(t *testing.T) server.Tools {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	peers := filepath.Join(filepath.Dir(here), "..", "..")
	tools := server.Tools{
		Socketeer: filepath.Join(peers, "..", "..", "bin", "socketeer"), Peers: peers, Node: "node", Redis: "redis-server",
	}
	_, err := os.Stat(tools.Socketeer)
	missing(t, err, "bin/socketeer (make build)")
	return tools
}

// Peers is Ours, and skips the test when the Node.js servers cannot run.
func Peers(t *testing.T) server.Tools {
	t.Helper()
	tools := Ours(t)
	_, err := exec.LookPath(tools.Node)
	missing(t, err, "node")
	for _, name := range []string{"socket.io", "redis"} {
		_, err = os.Stat(filepath.Join(tools.Peers, "node_modules", name))
		missing(t, err, "node_modules/"+name+" (npm ci in test/bench)")
	}
	return tools
}

// Cluster is Peers, and skips the test when several of them cannot be joined.
func Cluster(t *testing.T) server.Tools {
	t.Helper()
	tools := Peers(t)
	_, err := exec.LookPath(tools.Redis)
	missing(t, err, "redis-server (scripts/setup)")
	return tools
}

// missing skips the test when err says that a tool is not there, and fails it
// where CI is set.
func missing(t *testing.T, err error, what string) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("%s is missing", what)
	default:
		t.Skipf("skipped: %s is missing", what)
	}
}
