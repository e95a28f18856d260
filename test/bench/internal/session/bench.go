package session

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	"github.com/socketeer-io/socketeer/test/bench/internal/scenario"
	"github.com/socketeer-io/socketeer/test/bench/internal/server"
)

// bench puts the load of s on setup and returns the report.
func (r *runner) bench(ctx context.Context, s scenario.Scenario, setup *server.Setup, label string) (json.RawMessage, error) {
	patience := s.Patience(r.Duration)
	hung := fmt.Errorf("socketeer: the load of %s on %s has not ended after %v", s.Name, setup.Kind.Name, patience)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, hung)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Tools.Socketeer, slices.Concat(command(s), setup.Load(), s.Args(r.Duration))...)
	cmd.Dir, cmd.Env = setup.Surroundings()
	cmd.SysProcAttr = server.Attributes()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, fmt.Errorf("socketeer: %w", err)
	}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("socketeer: cannot start the load generator: %w", err)
	}
	last := r.follow(stderr, s, setup.Kind.Name+", "+label)
	if err := cmd.Wait(); err != nil {
		if errors.Is(context.Cause(ctx), hung) {
			return nil, hung
		}
		if last == "" {
			last = err.Error()
		}
		return nil, fmt.Errorf("socketeer: %s on %s: %s", s.Name, setup.Kind.Name, strings.TrimPrefix(last, "socketeer: "))
	}
	report, err := s.ParseReport(stdout.Bytes())
	if err != nil {
		return nil, err
	}
	r.Progress.finished(s, setup.Kind.Name+", "+label, report)
	return stdout.Bytes(), nil
}

// command is what puts the load of s on servers.
func command(s scenario.Scenario) []string {
	if s.Replaces() {
		return []string{"bench", "deploy", "--json"}
	}
	return []string{"bench", "--json"}
}

// follow shows what the load generator says until it is gone, and returns the
// last of it.
func (r *runner) follow(stderr io.Reader, s scenario.Scenario, label string) (last string) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		last = strings.TrimSpace(lines.Text())
		r.Progress.step(s, label, last)
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		last = err.Error()
	}
	return last
}
