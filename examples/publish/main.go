// Publish publishes its argument to every client and prints the broadcast's id.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/publish"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 || os.Getenv("QUEUE_URL") == "" {
		fmt.Fprintln(os.Stderr, "usage: QUEUE_URL=... go run ./examples/publish MESSAGE")
		os.Exit(2)
	}
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	queue := publish.Queue{Client: sqs.NewFromConfig(cfg), URL: os.Getenv("QUEUE_URL")}
	id, err := queue.Publish(ctx, []byte(os.Args[1]))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(id)
}
