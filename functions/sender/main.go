// Sender handles one batch of the send queue in one invocation: it posts the batch's messages to each of its
// connections.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/delivery"
	"fanfare/pkg/function"
	"fanfare/pkg/handler"
	"fanfare/pkg/ledger"
	"fanfare/pkg/push"
	"fanfare/pkg/queue"
	"fanfare/pkg/registry"
)

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	db, mq := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	postsPerSecond, senders := env.Int("POSTS_PER_SECOND", 2, 1_000_000), env.Int("SENDER_CONCURRENCY", 2, 1000)
	visibility := &queue.Visibility{Client: mq, URLs: []string{env.String("SEND_QUEUE_URL")}}
	poster, posterErr := push.New(cfg, env.String("MANAGEMENT_ENDPOINT"), handler.SenderWorkers)
	stage := &delivery.Sender{
		Poster:         poster,
		Ledger:         &ledger.Table{Client: db, Name: env.String("BROADCASTS_TABLE")},
		Queue:          &queue.Batches{Client: mq, URL: env.String("SEND_QUEUE_URL")},
		DeadLetters:    &queue.DeadLetters{Client: mq, URL: env.String("SEND_DEAD_LETTER_QUEUE_URL")},
		Registry:       &registry.Table{Client: db, Name: env.String("CONNECTIONS_TABLE")},
		Pace:           handler.Pace(float64(postsPerSecond), senders),
		Workers:        handler.SenderWorkers,
		MaxAttempts:    env.Int("MAX_ATTEMPTS", 1, 12),
		DisconnectFull: env.OneOf("FULL_BUFFERS", "keep", "disconnect") == "disconnect",
		Reserve:        handler.SenderReserve,
	}
	if posterErr != nil {
		return nil, posterErr // here, so that a report of missing settings has all of them
	}
	return handler.Sender{Visibility: visibility, Stage: stage}.Handle, nil
}
