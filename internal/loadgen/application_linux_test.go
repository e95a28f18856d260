package loadgen_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socketeer-io/socketeer"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// A server that is another application answers nothing.
func TestRunAgainstOtherApplication(t *testing.T) {
	io, err := socketeer.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	io.On("greet", func(_ context.Context, m *socketeer.Message) error { return m.Ack("hello") })
	srv := httptest.NewServer(io)
	defer srv.Close()
	defer io.Close()
	const asked = "does the server run the bench application (serve --app bench)?"
	addr := srv.Listener.Addr().String()
	for mode, want := range map[loadgen.Mode]string{
		loadgen.Echo:   "socketeer: none of 24 messages was acknowledged: " + asked,
		loadgen.Direct: "socketeer: none of 24 messages arrived: " + asked,
		loadgen.Rooms:  "socketeer: none of 24 connections was told in 100ms that it had joined a room: " + asked,
		loadgen.Storm:  "socketeer: none of 24 connections was told in 100ms that it had joined a room: " + asked,
	} {
		cfg := short(mode, addr)
		cfg.Drain, cfg.Patience = -1, 100*time.Millisecond
		if _, err := loadgen.Run(t.Context(), cfg); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", mode, err, want)
		}
	}
	cfg := short(loadgen.Direct, addr, addr)
	cfg.Drain = -1
	if _, err := loadgen.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "bench application (serve --app bench), in one cluster?") {
		t.Errorf("on two servers: %v", err)
	}
}

const (
	// limitedFiles is how many files the server of TestServeLimited may open.
	limitedFiles = 60
	// asLimited makes a test binary be it.
	asLimited = "LOADGEN_TEST_LIMITED"
)

// It is no test, but the bench application with so few open files that it does
// not accept all connections.
func TestServeLimited(t *testing.T) {
	if os.Getenv(asLimited) == "" {
		t.Skip("it is for TestRunAgainstServerWithoutFiles")
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limitedFiles, Max: limitedFiles}); err != nil {
		t.Fatal(err)
	}
	fmt.Println(newServer(t))
	_, err := os.Stdin.Read(make([]byte, 1)) // until it is killed
	t.Error(err)
}

// Without its process, a server at its limit on open files is only guessed at;
// with it, it is found out before the run.
func TestRunAgainstServerWithoutFiles(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeLimited$")
	cmd.Env = append(os.Environ(), asLimited+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		_ = cmd.Process.Kill() // its clients may hold it up
		_ = cmd.Wait()         // killed
	}()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	cfg := short(loadgen.Idle, strings.TrimSpace(addr))
	cfg.Conns, cfg.PIDs, cfg.Patience = 100, nil, time.Second
	_, err = loadgen.Run(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "of 100 connections were set up, then none for 1s: the server may have reached its limit on open files (ulimit -n), which --pid tells") {
		t.Errorf("without its process: %v", err)
	}
	cfg.PIDs = []int{cmd.Process.Pid}
	var limit *loadgen.FileLimitError
	if _, err = loadgen.Run(t.Context(), cfg); !errors.As(err, &limit) || limit.Have != limitedFiles || limit.Servers != 1 {
		t.Errorf("with its process: %v", err)
	}
}
