// Package transport has HTTP clients for the AWS SDK.
package transport

import (
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

// KeepBodyOpen returns a client that sends requests through client and lets each request body be read to its end. A nil
// client, which is the default of an [aws.Config], means the SDK's default client.
//
// Without it the SDK (smithy-go 1.28) closes the request body as soon as the response arrives. If net/http is still
// reading the body, it treats the close as an error and drops the connection and the response. The caller would then
// repeat a request that the server has processed.
func KeepBodyOpen(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	return keepBodyOpen{client}
}

type keepBodyOpen struct{ client aws.HTTPClient }

func (k keepBodyOpen) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body = struct{ io.ReadCloser }{r.Body} // hides the WriteTo method, which fails after Close
	}
	return k.client.Do(r)
}
