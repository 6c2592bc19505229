// Package transport is what lies under the AWS SDK: HTTP.
package transport

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// Patient returns a client that lets a request be written to its end. Without it the SDK (smithy-go 1.28) closes the body
// when the answer comes; if net/http then still looks for the body's end, it takes the closing for an error and drops the
// connection under the answer. For a post that would mean a repetition, for anything else a retry. nil stands for the SDK's
// own client, which is what config.LoadDefaultConfig leaves to the services where nothing else is asked for.
func Patient(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	return patient{client}
}

type patient struct{ client aws.HTTPClient }

func (p patient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body} // hides its WriteTo, which is what fails after Close
	}
	return p.client.Do(r)
}
