// Command function is the bootstrap of package eventsource's tests. It reports messages with the body "bad" as failed
// until their second receive.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(_ context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
		var out events.SQSEventResponse
		for _, m := range event.Records {
			color := m.MessageAttributes["color"].StringValue
			if color == nil {
				color = new(string)
			}
			received := m.Attributes["ApproximateReceiveCount"]
			fmt.Fprintln(os.Stdout, m.Body, received, *color)
			if m.Body == "bad" && received == "1" {
				out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			}
		}
		return out, nil
	})
}
