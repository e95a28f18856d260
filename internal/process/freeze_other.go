//go:build !unix

package process

import (
	"errors"
	"os"
)

// Freeze stops a child in its tracks, where that can be done: here not.
func Freeze(*os.Process) error { return errors.ErrUnsupported }

// Thaw has a frozen child go on.
func Thaw(*os.Process) error { return errors.ErrUnsupported }
