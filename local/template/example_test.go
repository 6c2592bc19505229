package template_test

import (
	"fmt"

	"fanfare/local/template"
)

// Load resolves a template: it evaluates functions and forms names as AWS does.
func ExampleLoad() {
	const source = `
Parameters:
  Stage: {Type: String, Default: dev}
Resources:
  Jobs:
    Type: AWS::SQS::Queue
    Properties: {QueueName: !Sub "jobs-${Stage}"}
Outputs:
  JobsArn: {Value: !GetAtt Jobs.Arn}
`
	resolved, err := template.Load("template.yaml", []byte(source), template.Options{
		Parameters: map[string]string{"Stage": "prod"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resolved.Queues[0].Name)
	fmt.Println(resolved.Outputs[0].Value)
	// Output:
	// jobs-prod
	// arn:aws:sqs:us-east-1:000000000000:jobs-prod
}

// A problem names the file, the line, the resource and the property.
func ExampleLoad_problems() {
	const source = `
Resources:
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueuName: jobs
      VisibilityTimeout: soon
`
	_, err := template.Load("template.yaml", []byte(source), template.Options{})
	fmt.Println(err)
	// Output:
	// template.yaml:6:7: Jobs: Properties.QueuName: unknown property
	// template.yaml:7:26: Jobs: Properties.VisibilityTimeout: must be an integer, not "soon"
}
