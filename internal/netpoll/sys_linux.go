package netpoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Calls that never wait, because their descriptors do not block: so the
// scheduler need not know of them. That it need not is worth a tenth of a
// broadcast: it takes the processor away from a goroutine whose call lasts
// longer than 20 microseconds, and on a busy machine many do.

func read(fd int, b []byte) (int, error) {
	return rawCall(unix.SYS_RECVFROM, fd, b, 0)
}

func write(fd int, b []byte) (int, error) {
	return rawCall(unix.SYS_SENDTO, fd, b, unix.MSG_NOSIGNAL)
}

// rawCall is recv or send: shorter ways through the kernel than read and write.
func rawCall(call uintptr, fd int, b []byte, flags uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// epollWait returns what is ready now.
func epollWait(fd int, events []unix.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
