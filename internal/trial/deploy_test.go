package trial_test

import (
	"errors"
	"testing"
	"time"

	"github.com/socketeer-io/socketeer/internal/capacity"
	"github.com/socketeer-io/socketeer/internal/loadgen"
	"github.com/socketeer-io/socketeer/internal/trial"
)

// Two servers could hold the connections, and one alone cannot.
func TestDeployFileLimit(t *testing.T) {
	t.Setenv(maxFiles, "200")
	_, err := trial.Deploy(t.Context(), short(), trial.DeployOptions{
		Load:  capacity.Load{Nodes: 2, Conns: 150, Room: 10, Deliveries: 100},
		Every: time.Second, Kill: true,
	})
	var limit *loadgen.FileLimitError
	if !errors.As(err, &limit) || !limit.Replaced || limit.Conns != 150 || limit.Servers != 2 || limit.Have != 200 {
		t.Errorf("got %v", err)
	}
}
