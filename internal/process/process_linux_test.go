package process_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/socketeer-io/socketeer/internal/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTerminateAndKill(t *testing.T) {
	s := process.NewSpawner()
	defer s.Close()
	for want, end := range map[string]func(*exec.Cmd){"signal: terminated": process.Terminate, "signal: killed": process.Kill} {
		cmd := exec.Command("sleep", "1000")
		if err := s.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if group, err := syscall.Getpgid(cmd.Process.Pid); err != nil || group != cmd.Process.Pid {
			t.Errorf("process group %d of process %d, %v", group, cmd.Process.Pid, err)
		}
		end(cmd)
		_ = cmd.Wait()
		if got := cmd.ProcessState.String(); got != want {
			t.Errorf("ended with %q, want %q", got, want)
		}
	}
}

func TestClosedSpawnerTakesChildrenAlong(t *testing.T) {
	// As many spawners as it takes for one to be given the main thread, which
	// never ends.
	var spawners []*process.Spawner
	var children []*exec.Cmd
	for range 16 {
		s, cmd := process.NewSpawner(), exec.Command("sleep", "1000")
		if err := s.Start(cmd); err != nil {
			t.Fatal(err)
		}
		spawners, children = append(spawners, s), append(children, cmd)
	}
	for i, s := range spawners {
		s.Close()
		unkilled := time.AfterFunc(30*time.Second, func() {
			t.Error("child still runs 30 s after its spawner was closed")
			process.Kill(children[i])
		})
		_ = children[i].Wait()
		unkilled.Stop()
		if got := children[i].ProcessState.String(); got != "signal: killed" {
			t.Errorf("ended with %q", got)
		}
	}
}

func TestTail(t *testing.T) {
	var tail process.Tail
	if got := tail.Shown(); got != "; it printed nothing" {
		t.Error(got)
	}
	for range 1000 {
		if _, err := tail.Write([]byte("a line of output\n")); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = tail.Write([]byte("the last\n"))
	if got := tail.Shown(); !strings.HasSuffix(got, "a line of output\nthe last") || len(got) > 5000 {
		t.Errorf("%d bytes, ending in %q", len(got), got[max(0, len(got)-40):])
	}
}
