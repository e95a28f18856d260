package emitter_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/socketeer-io/socketeer/emitter"
)

// A worker tells the clients of a cluster what it has done.
func Example() {
	ctx := context.Background()
	io, err := emitter.New(ctx, emitter.Options{URLs: []string{"redis://localhost:6379"}})
	if err != nil {
		log.Fatal(err)
	}
	if err := io.To("order 17").Emit("order:sent", map[string]any{"id": 17}); err != nil {
		log.Print(err) // nothing was sent
	}
	if err := io.Of("/admin").Emit("report", []byte("%PDF-1.7")); err != nil {
		log.Print(err)
	}
	if err := io.Close(); err != nil {
		log.Print(err) // what Redis did not take
	}
}

// Sending much: as fast as Redis takes it.
func ExampleEmitter_Flush() {
	ctx := context.Background()
	io, err := emitter.New(ctx, emitter.Options{URLs: []string{"redis://localhost:6379"}, Mode: emitter.Streams})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 1_000_000 {
		err := io.To(fmt.Sprint("user ", i)).Emit("price", i)
		if errors.Is(err, emitter.ErrBacklog) {
			if err := io.Flush(ctx); err != nil {
				log.Print(err)
			}
			err = io.To(fmt.Sprint("user ", i)).Emit("price", i)
		}
		if err != nil {
			log.Print(err)
		}
	}
	if err := io.Close(); err != nil {
		log.Print(err)
	}
}
