package broadcast

import "time"

const (
	// MaxPayloadBytes is the largest payload that can be posted to a connection.
	// Source: the Data member of PostToConnection, API model of apigatewaymanagementapi (2018-11-29).
	MaxPayloadBytes = 131_072

	// MaxQueueBytes is the largest SQS message, and the largest sum of one SendMessageBatch, attributes included.
	// Source: SQS developer guide, "Amazon SQS message quotas".
	MaxQueueBytes = 1_048_576

	// MaxQueueEntries is the most messages of one SendMessageBatch. Source: as above.
	MaxQueueEntries = 10

	// MaxDelay is the longest that SQS holds a message back. Source: as above.
	MaxDelay = 900 * time.Second

	// MaxConnectionAge is when API Gateway closes a connection, however busy.
	// Source: API Gateway developer guide, "Quotas for configuring and running a WebSocket API".
	MaxConnectionAge = 2 * time.Hour

	// SettlingAge is how long after its connect a 410 for a connection means "not yet": API Gateway answers 410 until
	// the $connect integration has returned, and the row is written before that.
	// Source: AWS Knowledge Center, "410 Gone" errors of API Gateway WebSocket APIs; the length is ours.
	SettlingAge = 10 * time.Second

	// MaxMessageBytes is what the messages of one batch may take, as written on the queue. It leaves room for the
	// largest batch of connection ids (5,000 of some twenty bytes) below MaxQueueBytes.
	MaxMessageBytes = 768 << 10
)
