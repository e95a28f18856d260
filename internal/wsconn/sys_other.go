//go:build !unix

package wsconn

const rawSockets = false

func sysRead(uintptr, []byte) (int, error)  { return 0, errNotRaw }
func sysWrite(uintptr, []byte) (int, error) { return 0, errNotRaw }
