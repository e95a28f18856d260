package cli

import (
	"fmt"
	"os"
)

// writable returns an error when a file cannot be written to, so that this is
// known before the run that is to fill it. A file that is not there is made;
// no path is no file.
func writable(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("socketeer: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("socketeer: %w", err)
	}
	return nil
}
