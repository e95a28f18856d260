package clientbundle_test

import (
	"io/fs"
	"testing"

	"github.com/socketeer-io/socketeer/internal/app/clientbundle"
)

func TestAllOrNothing(t *testing.T) {
	files, ok := clientbundle.FS()
	for _, name := range clientbundle.Names() {
		if _, err := fs.Stat(files, name); (err == nil) != ok {
			t.Errorf("complete: %t, %s: %v", ok, name, err)
		}
	}
}
