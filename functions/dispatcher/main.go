// Dispatcher handles up to ten messages of the broadcast or the continuation queue in one invocation: it reads the
// connections table once for all of them and puts batches for the senders on the send queue.
package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"fanfare/pkg/fanout"
	"fanfare/pkg/function"
	"fanfare/pkg/handler"
	"fanfare/pkg/ledger"
	"fanfare/pkg/queue"
	"fanfare/pkg/registry"
)

func main() { function.Run(setup) }

func setup(env *function.Environment, cfg aws.Config) (any, error) {
	db, mq := dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	senders := env.Int("SENDER_CONCURRENCY", 2, 1000)
	visibility := &queue.Visibility{
		Client: mq, URLs: []string{env.String("BROADCAST_QUEUE_URL"), env.String("CONTINUATION_QUEUE_URL")},
	}
	arn := env.String("CONTINUATION_QUEUE_ARN")
	return handler.Dispatcher{ContinuationARN: arn, Visibility: visibility, Stage: &fanout.Dispatcher{
		Registry:      &registry.Table{Client: db, Name: env.String("CONNECTIONS_TABLE")},
		Ledger:        &ledger.Table{Client: db, Name: env.String("BROADCASTS_TABLE")},
		Batches:       &queue.Batches{Client: mq, URL: env.String("SEND_QUEUE_URL")},
		Continuations: &queue.Continuations{Client: mq, URL: env.String("CONTINUATION_QUEUE_URL")},
		DeadLetters: queue.DispatcherDeadLetters{
			Broadcasts:    &queue.DeadLetters{Client: mq, URL: env.String("BROADCAST_DEAD_LETTER_QUEUE_URL")},
			Continuations: &queue.DeadLetters{Client: mq, URL: env.String("CONTINUATION_DEAD_LETTER_QUEUE_URL")},
		},
		Segments:         env.Int("SCAN_SEGMENTS", 1, 64),
		BatchConnections: env.Int("BATCH_CONNECTIONS", 1, 5000),
		BatchPosts:       handler.BatchPosts(env.Int("POSTS_PER_SECOND", 2, 1_000_000), senders),
		Senders:          senders,
		Reserve:          handler.DispatcherReserve,
	}}.Handle, nil
}
