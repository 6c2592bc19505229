package stack_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fanfare/local/stack"
)

// Start runs the stack of a template with one queue.
func ExampleStart() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "template.yaml")
	const source = "Resources:\n  Jobs:\n    Type: AWS::SQS::Queue\n    Properties: {QueueName: jobs}\n"
	if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	s, err := stack.Start(context.Background(), path, stack.Options{BuildDir: filepath.Join(dir, "build")})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, q := range s.Resolved.Queues {
		fmt.Println(q.LogicalID, q.URL == s.AWSEndpoint+"/000000000000/jobs")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(s.Stop(ctx))
	// Output:
	// Jobs true
	// <nil>
}

// Set sets a fault by its name, as the flag --fault does.
func ExampleFaults_Set() {
	var faults stack.Faults
	fmt.Println(faults.Set("apigateway.Gone", "0.01"))
	fmt.Println(faults.Set("sqs.LatencyBy", "20"))
	fmt.Println(faults.APIGateway.Gone)
	// Output:
	// <nil>
	// fault sqs.LatencyBy: "20" is not a duration like 20ms or 1.5s of at most 1h0m0s
	// 0.01
}
