// Command server is the app under test of the end-to-end suite, on Socketeer:
// one node, configured by environment variables. README.md of the suite
// describes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/socketeer-io/socketeer"
)

// drain is how long clients are sent away evenly when the node stops.
const drain = 500 * time.Millisecond

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	opts := []socketeer.Option{socketeer.WithLogger(log)}
	durations := map[string]func(time.Duration) socketeer.Option{
		"PING_INTERVAL":   socketeer.WithPingInterval,
		"PING_TIMEOUT":    socketeer.WithPingTimeout,
		"CONNECT_TIMEOUT": socketeer.WithConnectTimeout,
	}
	for name, option := range durations {
		if text := os.Getenv(name); text != "" {
			ms, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			opts = append(opts, option(time.Duration(ms)*time.Millisecond))
		}
	}
	if text := os.Getenv("RECOVERY"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("RECOVERY: %w", err)
		}
		opts = append(opts, socketeer.WithRecovery(socketeer.Recovery{
			MaxDisconnection: time.Duration(ms) * time.Millisecond, RunMiddlewares: os.Getenv("RECOVERY_MIDDLEWARES") != "",
		}))
	}
	if dir := os.Getenv("CLIENT_DIR"); dir != "" {
		opts = append(opts, socketeer.WithClient(os.DirFS(dir)))
	}
	name := os.Getenv("NODE_NAME")
	factory, leave, err := joinCluster(ctx, name, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	if factory != nil {
		opts = append(opts, socketeer.WithAdapter(factory))
	}
	io, err := socketeer.NewServer(opts...)
	if err != nil {
		return err
	}
	newApp(name, log).register(io)
	return serve(ctx, io)
}

// serve serves until ctx ends, and then drains.
func serve(ctx context.Context, io *socketeer.Server) error {
	l, err := net.Listen("tcp", os.Getenv("LISTEN"))
	if err != nil {
		return errors.Join(err, io.Close())
	}
	srv := &http.Server{Handler: io, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	fmt.Printf("ready http://%s\n", l.Addr())
	select {
	case err := <-served:
		return errors.Join(err, io.Close())
	case <-ctx.Done():
	}
	drained, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err = io.Shutdown(drained)
	closed, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return errors.Join(err, srv.Shutdown(closed))
}
