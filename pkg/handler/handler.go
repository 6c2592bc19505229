// Package handler contains the Lambda handlers of the dispatcher and the sender: an SQS event in, a partial batch
// response out. It reads the event, runs the stage, and writes its results as logs and metrics.
//
// The response names the records that SQS must deliver again; SQS deletes the others. If every record of an event has
// failed, the handler returns an error instead, so that the invocation counts as failed.
// Source: Lambda developer guide, "Implementing partial batch responses".
package handler

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"golang.org/x/time/rate"
)

// Times of the functions. The timeouts are those of template.yaml.
const (
	DispatcherTimeout = 60 * time.Second
	SenderTimeout     = 30 * time.Second

	// DispatcherReserve is the end of a dispatcher's time, for emitting what it has read and sending continuations.
	DispatcherReserve = 20 * time.Second
	// SenderReserve is the end of a sender's time, for the running posts, which take at most five seconds, and for
	// settling.
	SenderReserve = 8 * time.Second

	// batchTime is the time in which a sender should post a batch at its pace: a third of its timeout.
	batchTime = SenderTimeout / 3
	// burst is the part of its share of the rate that a sender may post at once.
	burst = 20 * time.Millisecond
)

// SenderWorkers is the number of concurrent posts of a sender.
const SenderWorkers = 64

// BatchPosts returns the mean number of posts of a batch, at least 1, for a stack with these posts per second and
// senders.
func BatchPosts(postsPerSecond, senders int) int {
	return max(1, postsPerSecond*int(batchTime/time.Second)/senders)
}

// Pace returns the rate limiter of one sender: its share of the posts per second, with a burst of 20 ms of them, at
// least 1.
func Pace(postsPerSecond float64, senders int) *rate.Limiter {
	share := postsPerSecond / float64(senders)
	return rate.NewLimiter(rate.Limit(share), max(1, int(share*burst.Seconds())))
}

// invocation returns Lambda's id of the invocation, empty outside Lambda.
func invocation(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return ""
}

// failed returns the response by which SQS delivers the records with these ids again and deletes the others.
func failed(ids ...string) events.SQSEventResponse {
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for _, id := range ids {
		response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: id})
	}
	return response
}
