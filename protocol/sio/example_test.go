package sio_test

import (
	"fmt"

	"github.com/socketeer-io/socketeer/protocol/sio"
)

func ExampleEncode() {
	data, attachments, err := sio.Encode("upload", map[string]any{"name": "a.png", "body": []byte{1, 2}})
	if err != nil {
		fmt.Println(err)
		return
	}
	p := sio.Packet{Type: sio.Event, Namespace: "/files", ID: 7, HasID: true, Data: data, Attachments: attachments}
	fmt.Printf("%s\n", p.AppendText(nil))
	for _, a := range p.Attachments {
		fmt.Printf("%x\n", a)
	}
	// Output:
	// 51-/files,7["upload",{"body":{"_placeholder":true,"num":0},"name":"a.png"}]
	// 0102
}

func ExampleDecoder() {
	var d sio.Decoder
	// Without its attachment the packet is not complete.
	_, ok, err := d.Text([]byte(`51-/files,7["upload","a.png",{"_placeholder":true,"num":0}]`))
	fmt.Println(ok, err)
	p, ok, err := d.Binary([]byte{1, 2})
	fmt.Println(ok, err)

	args, err := sio.Args(p.Data)
	if err != nil {
		fmt.Println(err)
		return
	}
	var name string
	var body []byte
	for i, v := range []any{&name, &body} {
		if err := sio.DecodeArg(args[i+1], p.Attachments, v); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(p.Type, p.Namespace, p.ID, name, body)
	// Output:
	// false <nil>
	// true <nil>
	// event /files 7 a.png [1 2]
}
