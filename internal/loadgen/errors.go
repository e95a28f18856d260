package loadgen

import (
	"fmt"
)

// ConfigError is why [Run] refuses a [Config]: a run with it cannot succeed,
// whatever the servers do.
type ConfigError struct{ Err error }

// Error implements error.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *ConfigError) Unwrap() error { return e.Err }

// application is what to ask when connections come about, and no event is
// answered.
const application = "does the server run the bench application (serve --app bench)?"

// unanswered returns an error when no message of the run has come back, as with
// a server that is another application. In rooms, the set-up has found that
// out; when connections were lost, they are the reason.
func (r *Report) unanswered() error {
	switch l := r.Load; {
	case l == nil || l.Expected == 0 || l.Received > 0 || r.Lost > 0:
	case r.Mode == Echo:
		return fmt.Errorf("socketeer: none of %s messages was acknowledged: %s", count(l.Expected), application)
	case r.Mode == Direct && len(r.Addrs) > 1:
		return fmt.Errorf("socketeer: none of %s messages arrived: do the servers run the bench application (serve --app bench), in one cluster?", count(l.Expected))
	case r.Mode == Direct:
		return fmt.Errorf("socketeer: none of %s messages arrived: %s", count(l.Expected), application)
	}
	return nil
}
