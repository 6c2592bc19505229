package authorizer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"fanfare/pkg/access"
	"fanfare/pkg/authorizer"
	"fanfare/pkg/telemetry"
	"fanfare/pkg/token"
)

const arn = "arn:aws:execute-api:us-east-1:000000000000:api/production/$connect"

// verifier knows three tokens.
type verifier struct{}

var errKeys = errors.New("token keys unavailable")

func (verifier) Verify(_ context.Context, text string) (access.Grant, error) {
	switch text {
	case "good":
		return access.Grant{Principal: "alice", Publish: true, Until: time.Unix(1_800_000_000, 0)}, nil
	case "down":
		return access.Grant{}, errKeys
	}
	return access.Grant{}, &token.Refused{Reason: token.ReasonSignature}
}

func TestHandler_Handle(t *testing.T) {
	for _, test := range []struct {
		name      string
		protocols string // of the handshake
		effect    string
		principal string
		context   map[string]any
		err       error
		log       string // contained in the log
		metric    string // contained in the metrics
	}{
		{
			name: "accepted", protocols: "fanfare.bearer, good", effect: "Allow", principal: "alice",
			context: map[string]any{"publish": "true", "until": "1800000000"}, metric: `"TokensAccepted":1`,
		},
		{
			name: "refused", protocols: "fanfare.bearer, bad", effect: "Deny", principal: "refused",
			log: "msg=refused request=r reason=signature", metric: `"TokensRefused":1`,
		},
		{
			name: "no token", protocols: "chat", effect: "Deny", principal: "refused",
			log: "reason=missing", metric: `"TokensRefused":1`,
		},
		{
			name: "two tokens", protocols: "fanfare.bearer, good, good", effect: "Deny", principal: "refused",
			log: "reason=malformed", metric: `"TokensRefused":1`,
		},
		{name: "no keys", protocols: "fanfare.bearer, down", err: errKeys},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log, metrics bytes.Buffer
			h := authorizer.Handler{
				Source: access.FromProtocol, Verifier: verifier{},
				Output: telemetry.Output{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: &metrics},
			}
			got, err := h.Handle(t.Context(), events.APIGatewayCustomAuthorizerRequestTypeRequest{
				MethodArn: arn, MultiValueHeaders: map[string][]string{"Sec-WebSocket-Protocol": {test.protocols}},
				RequestContext: events.APIGatewayCustomAuthorizerRequestTypeRequestContext{RequestID: "r"},
			})
			if !errors.Is(err, test.err) {
				t.Fatalf("got error %v, want %v", err, test.err)
			}
			var want events.APIGatewayCustomAuthorizerResponse
			if test.err == nil {
				want.PrincipalID, want.Context = test.principal, test.context
				want.PolicyDocument.Version = "2012-10-17"
				want.PolicyDocument.Statement = []events.IAMPolicyStatement{
					{Action: []string{"execute-api:Invoke"}, Effect: test.effect, Resource: []string{arn}},
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
			if !strings.Contains(log.String(), test.log) || (test.log == "") != (log.Len() == 0) {
				t.Errorf("log: got %q, want %q", log.String(), test.log)
			}
			if !strings.Contains(metrics.String(), test.metric) || (test.metric == "") != (metrics.Len() == 0) {
				t.Errorf("metrics: got %q, want %q", metrics.String(), test.metric)
			}
			if strings.Contains(log.String(), "good") {
				t.Errorf("log: got %q, want no token in it", log.String())
			}
		})
	}
}

// The handler must not depend on the metrics being written.
func TestHandler_HandleNoMetrics(t *testing.T) {
	reader, writer := io.Pipe()
	reader.Close() // every write fails
	var log bytes.Buffer
	h := authorizer.Handler{
		Source: access.FromProtocol, Verifier: verifier{},
		Output: telemetry.Output{Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: writer},
	}
	got, err := h.Handle(t.Context(), events.APIGatewayCustomAuthorizerRequestTypeRequest{
		MethodArn: arn, MultiValueHeaders: map[string][]string{"Sec-WebSocket-Protocol": {"fanfare.bearer, good"}},
	})
	if err != nil || got.PrincipalID != "alice" || !strings.Contains(log.String(), "cannot write metrics") {
		t.Errorf("got %+v, %v with log %q, want alice and a logged error", got, err, log.String())
	}
}
