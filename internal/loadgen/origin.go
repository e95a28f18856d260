package loadgen

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// Origin says where a report comes from: how to repeat it, and when and on what
// it was made. What is not known is empty.
type Origin struct {
	Command string    `json:"command,omitempty"` // the command line that repeats it
	Started time.Time `json:"started,omitzero"`
	Machine Machine   `json:"machine,omitzero"`
}

// Machine is what a run was made on: servers and generator, if they share one.
type Machine struct {
	Cores  int    `json:"cores,omitempty"`  // that the process may use
	CPU    string `json:"cpu,omitempty"`    // the processor's model
	Kernel string `json:"kernel,omitempty"` // the system and its version
	Go     string `json:"go,omitempty"`     // version that the generator, and our server, were built with
}

// ThisMachine describes the machine of this process.
func ThisMachine() Machine {
	return Machine{Cores: runtime.NumCPU(), CPU: model(), Kernel: kernel(), Go: strings.TrimPrefix(runtime.Version(), "go")}
}

// String describes the machine in a line.
func (m Machine) String() string {
	var parts []string
	switch {
	case m.Cores == 1:
		parts = append(parts, strings.TrimSpace("1 core "+m.CPU))
	case m.Cores > 1:
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d cores %s", m.Cores, m.CPU)))
	case m.CPU != "":
		parts = append(parts, m.CPU)
	}
	if m.Kernel != "" {
		parts = append(parts, m.Kernel)
	}
	if m.Go != "" {
		parts = append(parts, "Go "+m.Go)
	}
	return strings.Join(parts, " · ")
}

// model is what Linux calls the first processor: proc_cpuinfo(5).
func model() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// kernel is the system's name and version, of Linux: proc_sys_kernel(5).
func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(b))
}
