package loadgen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// processes are some that a run looks at, from outside.
type processes []int

// cpu returns the CPU time the processes have used since they started.
func (ps processes) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range ps {
		// The id of another process's CPU clock, as clock_getcpuclockid(3)
		// makes it: the complement of the pid, and CPUCLOCK_SCHED (2).
		id := int32(^uint32(pid)<<3 | 2)
		var ts unix.Timespec
		if err := unix.ClockGettime(id, &ts); err != nil {
			return 0, gone(pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// rss returns the memory of the processes, in KiB.
func (ps processes) rss() (int64, error) {
	var sum int64
	for _, pid := range ps {
		kib, err := rss(pid)
		if err != nil {
			return 0, gone(pid, err)
		}
		sum += kib
	}
	return sum, nil
}

// roughRSS returns the memory of the processes in KiB, as cheaply as can be
// every second: smaps_rollup walks all pages. What cannot be read counts as 0.
func (ps processes) roughRSS() int64 {
	var pages int64
	for _, pid := range ps {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if f := bytes.Fields(b); err == nil && len(f) > 1 {
			n, _ := strconv.ParseInt(string(f[1]), 10, 64)
			pages += n
		}
	}
	return pages * int64(os.Getpagesize()) >> 10
}

// rss prefers smaps_rollup, which counts pages: VmRSS adds up counters that
// each CPU keeps and may be off by some hundred KiB.
func rss(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err == nil {
		return fieldKiB(b, "Rss:")
	}
	if b, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err != nil {
		return 0, err
	}
	return fieldKiB(b, "VmRSS:")
}

func fieldKiB(b []byte, name string) (int64, error) {
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) >= 2 && string(f[0]) == name {
			return strconv.ParseInt(string(f[1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

func gone(pid int, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("socketeer: no process %d to measure", pid)
	}
	return fmt.Errorf("socketeer: process %d: %w", pid, err)
}

// openFiles returns how many files all the processes may have open together.
func (ps processes) openFiles() uint64 {
	var sum uint64
	for _, pid := range ps {
		var lim unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &lim); err != nil {
			return unix.RLIM_INFINITY // not ours to see: let it try
		}
		if sum += lim.Cur; sum < lim.Cur {
			return unix.RLIM_INFINITY
		}
	}
	return sum
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// machineCPU returns the CPU time that all processes have used since an
// arbitrary moment, time that the host took away included: what the processors
// were not idle. The kernel keeps that to the microsecond where it stops its clock
// while it is idle, and tells it in ticks of 10 ms. What /proc/stat says of busy
// time it only samples, and is far off when loads are paced by the same clock.
func machineCPU() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	now, processors := time.Since(began), 0
	var idle int64
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line) // cpu user nice system idle iowait irq softirq steal ...
		if len(fields) < 6 || !bytes.HasPrefix(fields[0], []byte("cpu")) {
			break
		}
		if len(fields[0]) > len("cpu") {
			processors++
			continue
		}
		for _, f := range fields[4:6] {
			n, _ := strconv.ParseInt(string(f), 10, 64)
			idle += n
		}
	}
	return now*time.Duration(processors) - time.Duration(idle)*time.Second/100
}

// began is when machineCPU counts from.
var began = time.Now()

// spareFiles are for standard streams, epoll and the Go runtime, and in servers
// for listeners and other servers.
const spareFiles = 64

// FileLimit returns how many files a process may open, at most: the hard limit
// of this one, which those it starts share.
func FileLimit() (uint64, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("socketeer: limit on open files: %w", err)
	}
	return lim.Max, nil
}

// reserveFiles raises the limit on open files as far as it goes, and fails
// when so many connections do not fit.
func reserveFiles(conns int) error {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("socketeer: limit on open files: %w", err)
	}
	need := uint64(conns) + spareFiles
	if lim.Max < need {
		return &FileLimitError{Conns: conns, Need: need, Have: lim.Max}
	}
	if lim.Cur < lim.Max {
		lim.Cur = lim.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
			return fmt.Errorf("socketeer: limit on open files: %w", err)
		}
	}
	return nil
}

// ReplacedFit fails when servers that are replaced one by one, while they have
// so many connections, may not open the files for those of a server that is
// gone. With HTTP long-polling, a connection may take two files.
func ReplacedFit(pids []int, conns int) error {
	have := uint64(unix.RLIM_INFINITY)
	for _, pid := range pids {
		have = min(have, processes{pid}.openFiles())
	}
	if need := uint64(whileReplaced(conns, len(pids)) + spareFiles); len(pids) > 0 && have < need {
		return &FileLimitError{Conns: conns, Servers: len(pids), Replaced: true, Need: need, Have: have}
	}
	return nil
}

// fit fails when the servers may not open the files for so many connections.
func (ps processes) fit(conns int) error {
	if len(ps) == 0 {
		return nil
	}
	if need, have := uint64(conns+spareFiles*len(ps)), ps.openFiles(); have < need {
		return &FileLimitError{Conns: conns, Servers: len(ps), Need: need, Have: have}
	}
	return nil
}
