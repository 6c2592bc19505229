package push

import (
	"crypto/tls"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
)

// A busy machine may answer late, so no test depends on the timeout of a post unless it sets one.
func init() { postTimeout = time.Minute }

// SetPostTimeout sets the timeout of the clients that are built afterwards.
func SetPostTimeout(d time.Duration) (old time.Duration) {
	old, postTimeout = postTimeout, d
	return old
}

// SetTLSConfig sets the TLS configuration of the clients that are built afterwards.
func SetTLSConfig(c *tls.Config) { tlsConfig = c }

// NewSigner returns the signer of Fast.
func NewSigner() apigatewaymanagementapi.HTTPSignerV4 { return new(signer) }

// SetHTTPClient replaces the transport of a client in the mode Fast.
func (c *Client) SetHTTPClient(client aws.HTTPClient) { c.fast.http = client }

// IsFast reports whether the client posts in the mode Fast.
func (c *Client) IsFast() bool { return c.fast != nil }
