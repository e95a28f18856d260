package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/socketeer-io/socketeer/adapter"
	"github.com/socketeer-io/socketeer/adapter/nats"
)

// joinCluster makes the node a member of the cluster that CLUSTER_NAME,
// CLUSTER_ADDR and CLUSTER_PEERS describe, and returns how to leave it. Without
// CLUSTER_ADDR the node is alone.
func joinCluster(ctx context.Context, name string, log *slog.Logger) (adapter.Factory, func() error, error) {
	addr := os.Getenv("CLUSTER_ADDR")
	if addr == "" {
		return nil, func() error { return nil }, nil
	}
	c, err := nats.New(ctx, nats.Options{
		Name: name, ClusterName: os.Getenv("CLUSTER_NAME"), ClusterAddr: addr,
		Peers: strings.Split(os.Getenv("CLUSTER_PEERS"), ","), Logger: log,
	})
	if err != nil {
		return nil, nil, err
	}
	leave := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return c.Close(ctx)
	}
	return c, leave, nil
}
