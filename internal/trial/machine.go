package trial

import (
	"bytes"
	"os"
	"runtime"
	"strconv"

	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/loadgen"
)

// ThisMachine returns what there is to run loads on.
func ThisMachine() (capacity.Machine, error) {
	files, err := loadgen.FileLimit()
	if err != nil {
		return capacity.Machine{}, err
	}
	return capacity.Machine{Cores: float64(runtime.NumCPU()), MemoryKiB: freeMemory(), Files: files}, nil
}

// freeMemory returns the memory that programs can still have, in KiB; a lot
// when the system does not say.
func freeMemory() float64 {
	const unknown = 1 << 40
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return unknown
	}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) < 2 || string(f[0]) != "MemAvailable:" {
			continue
		}
		if kib, err := strconv.ParseFloat(string(f[1]), 64); err == nil {
			return kib
		}
	}
	return unknown
}
