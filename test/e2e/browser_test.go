package e2e_test

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestChat lets two people in Chromium chat on the nodes of "socketeer up",
// one of which is killed.
func TestChat(t *testing.T) {
	needPackages(t)
	chromium := needTool(t, "chromium")
	bundle := filepath.Join("..", "..", "internal", "app", "clientbundle", "dist", "socket.io.min.js")
	_, err := os.Stat(bundle)
	need(t, "the browser client (make build)", err == nil)

	nodes, err := json.Marshal(up(t))
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "NODES="+string(nodes), "CHROMIUM="+chromium)
	if err := script(t, env, "--test", "--test-reporter=spec", filepath.Join("browser", "chat.test.js")); err != nil {
		t.Errorf("the browser test: %v", err)
	}
}

// chatNode is a node of "socketeer up".
type chatNode struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	URL  string `json:"url"`
}

// ready is a line of the table that "up" prints.
var ready = regexp.MustCompile(`(?m)^ +(node-\d+) +(\d+) +ready +(http://\S+)`)

// up runs "socketeer up" with three nodes until the test ends.
func up(t *testing.T) []chatNode {
	t.Helper()
	path := filepath.Join(binDir, "socketeer")
	build := exec.Command("go", "build", "-o", path, "./cmd/socketeer")
	build.Dir = filepath.Join("..", "..")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("socketeer does not build: %v\n%s", err, text)
	}
	out := newOutput()
	cmd := exec.Command(path, "up", "--nodes", "3",
		"--addr", net.JoinHostPort(loopback(), "3001"), "--admin-addr", net.JoinHostPort(loopback(), "3901"))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { down(t, cmd, out) })

	var nodes []chatNode
	eventually(t, "three nodes to be ready", func() bool {
		nodes = nil
		for _, m := range ready.FindAllStringSubmatch(out.String(), -1) {
			pid, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, chatNode{Name: m[1], PID: pid, URL: m[3]})
		}
		return len(nodes) == 3
	})
	return nodes
}

// down stops "up" like Ctrl-C does, which is to be a matter of seconds.
func down(t *testing.T, cmd *exec.Cmd, out *output) {
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	timer := time.AfterFunc(patience, func() {
		t.Errorf("socketeer up did not stop within %v", patience)
		_ = cmd.Process.Kill() // it may be gone by now
	})
	err := cmd.Wait()
	timer.Stop()
	if err != nil {
		t.Errorf("socketeer up: %v", err)
	}
	if t.Failed() {
		t.Logf("output of socketeer up:\n%s", out)
	}
}
