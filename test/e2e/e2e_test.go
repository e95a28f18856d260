// Package e2e_test runs the official Socket.IO client against node processes.
// README.md describes the suite and the app under test.
package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binDir is where TestMain lets binaries be built.
var binDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "socketeer-e2e-")
	if err != nil {
		panic(err)
	}
	binDir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// buildServer builds the app under test, once, with the race detector if
// this test binary has it.
var buildServer = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "server")
	return path, build(path, "./server")
})

func build(path, pkg string) error {
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

func ours(t *testing.T) flavour {
	t.Helper()
	path, err := buildServer()
	if err != nil {
		t.Fatalf("the server does not build: %v", err)
	}
	return flavour{kind: "socketeer", command: []string{path}}
}

func TestOracle(t *testing.T) {
	t.Run("one node", func(t *testing.T) { suite(t, oracle(t), 1) })
	t.Run("three nodes", func(t *testing.T) {
		f := oracle(t)
		f.redis = startRedis(t)
		suite(t, f, 3)
	})
}

func TestSocketeer(t *testing.T) {
	t.Run("one node", func(t *testing.T) { suite(t, ours(t), 1) })
	t.Run("three nodes", func(t *testing.T) { suite(t, ours(t), 3) })
}

// suite runs the JavaScript suite against n nodes. Tests that need no cluster
// but nodes of their own run with one node only, those that need a cluster
// with several.
func suite(t *testing.T, f flavour, n int) {
	needPackages(t)
	nodes := start(t, f, n)
	urls := make([]string, n)
	for i, nd := range nodes {
		urls[i] = nd.url
	}
	command, err := json.Marshal(f.command)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("suite/*.test.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("no suite: %v", err)
	}
	env := append(os.Environ(), bundles(t),
		"SERVERS="+strings.Join(urls, ","), "KIND="+f.kind, "NODE_COMMAND="+string(command),
		"NODE_HOST="+loopback(), "REDIS_URL="+f.redis)
	if err := script(t, env, filepath.Join("suite", "ready.js")); err != nil {
		t.Fatalf("the nodes do not become ready: %v", err)
	}
	args := []string{"--test", "--test-force-exit", "--test-reporter=spec"}
	if err := script(t, env, append(args, files...)...); err != nil {
		t.Errorf("the suite: %v", err)
	}
}

// script runs Node.js; its output is the test's.
func script(t *testing.T, env []string, args ...string) error {
	cmd := exec.CommandContext(t.Context(), needTool(t, "node"), args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.SysProcAttr = dieWithParent()
	return cmd.Run()
}
