package eio_test

import (
	"fmt"

	"github.com/socketeer-io/socketeer/protocol/eio"
)

func ExamplePackets() {
	for p, err := range eio.Packets([]byte("2\x1e4hello\x1ebAQIDBA==")) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if p.Binary {
			fmt.Printf("%v %x\n", p.Type, p.Data)
		} else {
			fmt.Printf("%v %q\n", p.Type, p.Data)
		}
	}
	// Output:
	// ping ""
	// message "hello"
	// message 01020304
}

func ExampleAppendText() {
	fmt.Printf("%s\n", eio.AppendText(nil, eio.Packet{Type: eio.Message, Data: []byte("hello")}))
	fmt.Printf("%s\n", eio.AppendText(nil, eio.Packet{Type: eio.Message, Data: []byte{1, 2, 3}, Binary: true}))
	// Output:
	// 4hello
	// bAQID
}
