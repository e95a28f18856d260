package loadgen

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

const (
	// perSource is how many connections to one server share a source address.
	// The kernel's default range of local ports has about 28,000.
	perSource = 25_000
	// perReturning is how many do when they come back: a connection that was
	// cut by FIN keeps its port for a while (TIME_WAIT), and the fewer are
	// free, the longer each connect looks for one.
	perReturning = 8_000
)

// perSource is how many connections to one server share a source address.
func (c Config) perSource() int {
	if c.Mode.cuts() {
		return perReturning
	}
	return perSource
}

// sources is how many source addresses so many connections of a run take at
// most, all to one server; those on HTTP long-polling count twice, which might
// be any.
func (c Config) sources(conns int) int {
	if c.Polling > 0 {
		conns *= 2
	}
	return (conns + c.perSource() - 1) / c.perSource()
}

// target is a server to connect to.
type target struct {
	addr    string
	sock    unix.Sockaddr
	family  int
	source  int    // number of the first source address to connect from
	share   int    // connections to a source address
	loop4   bool   // in 127.0.0.0/8: any address of that net will do as source
	request []byte // its upgrade request
}

func resolve(addr, path string) (target, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return target{}, fmt.Errorf("socketeer: %w", err)
	}
	t := target{addr: addr, request: upgradeRequest(addr, path)}
	if ip := tcp.IP.To4(); ip != nil || tcp.IP == nil {
		sa := &unix.SockaddrInet4{Port: tcp.Port, Addr: [4]byte{127, 0, 0, 1}}
		if ip != nil {
			copy(sa.Addr[:], ip)
		}
		t.family, t.sock, t.loop4 = unix.AF_INET, sa, sa.Addr[0] == 127
		return t, nil
	}
	sa := &unix.SockaddrInet6{Port: tcp.Port}
	copy(sa.Addr[:], tcp.IP.To16())
	t.family, t.sock = unix.AF_INET6, sa
	return t, nil
}

// forLoop returns a copy of t for one loop: connect writes to the address.
func (t target) forLoop() target {
	switch sa := t.sock.(type) {
	case *unix.SockaddrInet4:
		t.sock = &unix.SockaddrInet4{Port: sa.Port, Addr: sa.Addr}
	case *unix.SockaddrInet6:
		t.sock = &unix.SockaddrInet6{Port: sa.Port, Addr: sa.Addr}
	}
	return t
}

// dial starts connection number nth to the target, and does not wait for it.
func (t target) dial(nth int) (fd int, err error) {
	fd, err = unix.Socket(t.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("socketeer: socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return -1, fmt.Errorf("socketeer: TCP_NODELAY: %w", err)
	}
	if source := t.source + nth/t.share; source > 0 && t.loop4 {
		if err := bindSource(fd, source); err != nil {
			return -1, err
		}
	}
	if err := unix.Connect(fd, t.sock); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return -1, t.failed(err)
	}
	return fd, nil
}

func (t target) failed(err error) error {
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("socketeer: connect to %s: no free local port is left (sysctl net.ipv4.ip_local_port_range)", t.addr)
	}
	return fmt.Errorf("socketeer: connect to %s: %w", t.addr, err)
}

// bindSource gives fd the source address 127.0.0.(1+n), and leaves the port to
// connect, which may use one again that is taken towards another server.
func bindSource(fd, n int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return fmt.Errorf("socketeer: IP_BIND_ADDRESS_NO_PORT: %w", err)
	}
	n++
	sa := &unix.SockaddrInet4{Addr: [4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)}}
	if err := unix.Bind(fd, sa); err != nil {
		return fmt.Errorf("socketeer: bind to 127.%d.%d.%d: %w", sa.Addr[1], sa.Addr[2], sa.Addr[3], err)
	}
	return nil
}

// reset closes fd so that no TIME_WAIT keeps its port from the next run.
func reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}

// finish closes fd as a process that ends does.
func finish(fd int) { unix.Close(fd) }
