package broadcast

import (
	"time"

	"fanfare/publish"
)

const (
	// MaxPayloadBytes is the size of the largest payload that can be posted to a connection.
	MaxPayloadBytes = publish.MaxBytes

	// MaxQueueBytes is the size of the largest SQS message, and of the largest SendMessageBatch, attributes included.
	MaxQueueBytes = publish.MaxQueueBytes

	// MaxQueueEntries is the largest number of messages in one SendMessageBatch or ReceiveMessage.
	MaxQueueEntries = publish.MaxQueueEntries

	// MaxDelay is the longest delay of an SQS message. Source: SQS developer guide, "Amazon SQS message quotas".
	MaxDelay = 900 * time.Second

	// MaxConnectionAge is the age at which API Gateway closes every connection.
	// Source: API Gateway developer guide, "Quotas for configuring and running a WebSocket API".
	MaxConnectionAge = 2 * time.Hour

	// SettlingAge is the age below which a 410 for a connection means "not yet open": API Gateway answers 410 until the
	// $connect integration has returned, and the row is written before that. It is also the least time between the two
	// 410 answers after which the row is deleted, because API Gateway is reported to answer 410 for open connections now
	// and then.
	// Source: AWS Knowledge Center, "410 Gone" errors of API Gateway WebSocket APIs; aws-sdk-js#3773. The length is ours.
	SettlingAge = 10 * time.Second

	// MaxBatchBytes is the size of the largest batch. It leaves 4 KiB for the attributes that a batch receives on the
	// dead-letter queue.
	MaxBatchBytes = MaxQueueBytes - 4<<10

	// MaxConfirmations is the largest number of batches of one chain that confirm a 410. With the largest number of
	// attempts (12) a chain stays below Lambda's recursion limit of 16 invocations.
	MaxConfirmations = 2

	// MaxMessageBytes bounds the messages of one batch, as written on the queue. It leaves room for the largest batch of
	// connection ids (5,000 of some twenty bytes) below MaxBatchBytes. One message with the largest payload and exclusions
	// is smaller.
	MaxMessageBytes = 768 << 10
)
