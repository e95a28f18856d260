package loadgen_test

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// The CPU time of servers that are replaced adds up, and does not go back while
// one has ended that is still named.
func TestServersReplaced(t *testing.T) {
	busy := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	first := busy()
	pids, ended := []int{first.Process.Pid}, time.Duration(0)
	cpu := loadgen.ServersCPU(func() ([]int, time.Duration) { return pids, ended })
	deadline := time.Now().Add(30 * time.Second)
	for cpu() < 50*time.Millisecond {
		if time.Now().After(deadline) {
			t.Fatal("a busy process takes no time")
		}
	}
	used := cpu()
	_ = first.Process.Kill()
	_ = first.Wait()
	if got := cpu(); got != used {
		t.Errorf("%v when the process has ended, it had used %v", got, used)
	}
	second := busy()
	defer func() { _ = second.Process.Kill(); _ = second.Wait() }()
	pids, ended = []int{second.Process.Pid}, first.ProcessState.UserTime()+first.ProcessState.SystemTime()
	if got := cpu(); got < ended {
		t.Errorf("%v with the next process, the first had used %v", got, ended)
	}
}

func TestDeployReadsServers(t *testing.T) {
	cfg := short(loadgen.Deploy, newServer(t))
	cfg.Rate, cfg.PIDs, cfg.Duration = 1000, nil, 1500*time.Millisecond
	cfg.Servers = func() ([]int, time.Duration) { return []int{os.Getpid()}, time.Hour }
	var mu sync.Mutex
	var lines []string
	cfg.Progress = func(p loadgen.Progress) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, p.String())
	}
	r := mustRun(t, cfg)
	l := r.Load
	if r.Memory == nil || r.Memory.BeforeKiB <= 0 || r.Memory.ConnectedKiB <= 0 || r.Memory.AfterKiB <= 0 {
		t.Errorf("memory %+v", r.Memory)
	}
	if l.Server == nil || l.Server.Cores <= 0 || l.Server.Cores > 100 || l.Server.PerMessageMicros <= 0 {
		t.Errorf("server %+v", l.Server)
	}
	if len(l.Series) == 0 || l.Series[0].ServerCores <= 0 || l.Series[0].ServerKiB <= 0 {
		t.Errorf("course %+v", l.Series)
	}
	mu.Lock()
	defer mu.Unlock()
	if all := strings.Join(lines, "\n"); !strings.Contains(all, "| server ") {
		t.Error(all)
	}
	cfg.PIDs = []int{1 << 30}
	if _, err := loadgen.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "no process 1073741824") {
		t.Errorf("got %v", err)
	}
}
