package results

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine describes what a comparison runs on: processors and system.
func Machine() []string {
	lines := []string{fmt.Sprintf("%d CPUs (%s)", runtime.NumCPU(), processor())}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		lines = append(lines, "Linux "+string(bytes.TrimSpace(b)))
	}
	return lines
}

func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOARCH
}
