package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/socketeer-io/socketeer/internal/process"
)

// TestFreeze: a frozen process stands still at once, with all of its threads.
func TestFreeze(t *testing.T) {
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }() // as somebody always does
	for range 50 {
		for range 2 { // once more changes nothing
			if err := process.Freeze(cmd.Process); err != nil {
				t.Fatal(err)
			}
			states(t, cmd.Process.Pid, "T")
		}
		if err := process.Thaw(cmd.Process); err != nil {
			t.Fatal(err)
		}
		states(t, cmd.Process.Pid, "[RS]")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-done
	for _, f := range []func(*os.Process) error{process.Freeze, process.Thaw} {
		if err := f(cmd.Process); err != nil {
			t.Error(err)
		}
	}
}

// states checks the state of a process's threads.
func states(t *testing.T, pid int, want string) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`\) ` + want + ` `).Match(b) {
			t.Fatalf("%s, want %s", b, want)
		}
	}
}
