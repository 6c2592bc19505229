package push

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// fastPath takes the place of the middleware between the validation of a post's input and the network. The SDK builds
// its 27 middlewares for every post, which costs a third of the CPU of a post. The validation runs, and the
// deserialization runs for failed posts; the others do not.
//
// In contrast to the SDK, a post has no retries (see New), no correction of the clock by the server's Date (Lambda's
// clock is right), no Amz-Sdk-* and X-Amzn-Trace-Id headers, and no interceptors or request logs.
type fastPath struct {
	endpoint    *url.URL
	path        string // of the connections: the endpoint's path, escaped, and "/@connections/"
	region      string
	credentials aws.CredentialsProvider
	http        aws.HTTPClient
	signer      signer
	hashes      payloadHashes
}

// install is one of the client's APIOptions.
func (f *fastPath) install(stack *middleware.Stack) error {
	stack.Serialize.Clear()
	return stack.Serialize.Add(&fastPost{f, stack.Deserialize}, middleware.After)
}

// fastPost is the middleware of one post.
type fastPost struct {
	*fastPath
	deserialize *middleware.DeserializeStep
}

// ID returns the name of the middleware.
func (*fastPost) ID() string { return "FastPost" }

// HandleSerialize makes the post. It does not call next.
func (f *fastPost) HandleSerialize(
	ctx context.Context, in middleware.SerializeInput, _ middleware.SerializeHandler,
) (out middleware.SerializeOutput, metadata middleware.Metadata, err error) {
	input, ok := in.Parameters.(*apigatewaymanagementapi.PostToConnectionInput)
	request, ok2 := in.Request.(*smithyhttp.Request)
	if !ok || !ok2 {
		return out, metadata, fmt.Errorf("make a post: unexpected input %T or request %T", in.Parameters, in.Request)
	}
	if *input.ConnectionId == "" {
		return out, metadata, errors.New("make a post: the connection id is empty")
	}
	request.Request = request.WithContext(ctx)
	if err := f.fill(request.Request, *input.ConnectionId, input.Data); err != nil {
		return out, metadata, err
	}
	response, err := f.http.Do(request.Request)
	if err != nil {
		return out, metadata, &smithyhttp.RequestSendError{Err: err}
	}
	if response.StatusCode == http.StatusOK && response.ContentLength == 0 {
		out.Result = new(apigatewaymanagementapi.PostToConnectionOutput)
		return out, metadata, nil
	}
	// The SDK reads all other responses and returns the API's typed errors with their request ids.
	out.Result, metadata, err = f.deserialize.HandleMiddleware(ctx, request, received{response})
	return out, metadata, err
}

var (
	contentType = []string{"application/octet-stream"}
	userAgent   = []string{"aws-sdk-go-v2/" + aws.SDKVersion + " fanfare"}
)

// fill makes r the signed request that posts payload to the connection.
func (f *fastPath) fill(r *http.Request, connection string, payload []byte) error {
	r.Method = http.MethodPost
	r.URL.Scheme, r.URL.Host = f.endpoint.Scheme, f.endpoint.Host
	// Opaque is the path as it is sent. Path and RawPath would be decoded and compared by each reader of the URL.
	var path [128]byte
	r.URL.Opaque = string(appendEscaped(append(path[:0], f.path...), connection, '.'))
	r.Header["Content-Type"], r.Header["User-Agent"] = contentType, userAgent
	r.ContentLength = int64(len(payload))
	if len(payload) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(payload))
	}
	credentials, err := f.credentials.Retrieve(r.Context())
	if err != nil {
		return fmt.Errorf("sign a post: get credentials: %w", err)
	}
	hash := f.hashes.hash(payload)
	return f.signer.SignHTTP(r.Context(), credentials, r, hash, "execute-api", f.region, time.Now())
}

// received is a [middleware.Handler] whose response has arrived already.
type received struct{ response *http.Response }

func (r received) Handle(context.Context, any) (any, middleware.Metadata, error) {
	return &smithyhttp.Response{Response: r.response}, middleware.Metadata{}, nil
}

// payloadHashes remembers the SHA-256 of recent payloads, because a payload is posted to many connections. It compares
// payloads byte by byte, which costs a small part of hashing them. It is safe for concurrent use; its zero value is
// empty.
type payloadHashes struct {
	recent atomic.Pointer[[]hashedPayload] // the latest first; never modified
}

type hashedPayload struct {
	payload []byte // a copy
	hash    string // in hexadecimal
}

// maxHashes is the number of payloads remembered. A batch has at most ten messages.
const maxHashes = 10

func (h *payloadHashes) hash(payload []byte) string {
	var recent []hashedPayload
	if p := h.recent.Load(); p != nil {
		recent = *p
	}
	for i := range recent {
		if bytes.Equal(recent[i].payload, payload) {
			return recent[i].hash
		}
	}
	sum := sha256.Sum256(payload)
	entry := hashedPayload{bytes.Clone(payload), hex.EncodeToString(sum[:])}
	updated := slices.Concat([]hashedPayload{entry}, recent[:min(len(recent), maxHashes-1)])
	h.recent.Store(&updated)
	return entry.hash
}
