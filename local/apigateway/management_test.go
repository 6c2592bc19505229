package apigateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/smithy-go"

	"fanfare/local/apigateway"
)

// post makes a management request without a network connection and returns the status.
func (g *gateway) post(t testing.TB, id, body string) int {
	request := httptest.NewRequestWithContext(t.Context(), "POST", connectionPath(id), strings.NewReader(body))
	request.Header.Set("Authorization", signed)
	request.Header.Set("X-Amz-Date", "20261124T000000Z")
	answer := httptest.NewRecorder()
	g.ServeHTTP(answer, request)
	return answer.Code
}

// sdkPost posts with the AWS SDK.
func (g *gateway) sdkPost(t testing.TB, id, data string) error {
	_, err := g.management().PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{
		ConnectionId: &id, Data: []byte(data),
	})
	return err
}

func TestManagement_SDKErrors(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	sdk := g.management()
	if err := g.sdkPost(t, c.id, "hello"); err != nil {
		t.Fatal(err)
	}
	c.want("hello")
	got, err := sdk.GetConnection(t.Context(), &apigatewaymanagementapi.GetConnectionInput{ConnectionId: &c.id})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(got.Identity.SourceIp) != "127.0.0.1" || time.Since(*got.ConnectedAt) > testTimeout ||
		got.LastActiveAt.Before(*got.ConnectedAt) {
		t.Errorf("GetConnection: got %+v, want 127.0.0.1 and recent times", got)
	}
	var tooLarge *types.PayloadTooLargeException
	err = g.sdkPost(t, c.id, strings.Repeat("x", 131073))
	if !errors.As(err, &tooLarge) || tooLarge.ErrorMessage() == "" {
		t.Errorf("post of 131,073 bytes: got error %v, want PayloadTooLargeException", err)
	}
	var notText smithy.APIError
	err = g.sdkPost(t, c.id, "\x82\xa3\xff\xfe")
	if !errors.As(err, &notText) || notText.ErrorCode() != "BadRequestException" ||
		!strings.Contains(notText.ErrorMessage(), "not UTF-8") {
		t.Errorf("post of bytes that are not UTF-8: got error %v, want BadRequestException", err)
	}
	_, err = sdk.DeleteConnection(t.Context(), &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &c.id})
	if err != nil {
		t.Fatal(err)
	}
	c.wantClose(1000, "Connection Closed Normally")
	var gone *types.GoneException
	for name, call := range map[string]func(id string) error{
		"POST": func(id string) error { return g.sdkPost(t, id, "x") },
		"GET": func(id string) error {
			_, err := sdk.GetConnection(t.Context(), &apigatewaymanagementapi.GetConnectionInput{ConnectionId: &id})
			return err
		},
		"DELETE": func(id string) error {
			_, err := sdk.DeleteConnection(t.Context(), &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &id})
			return err
		},
	} {
		if err := call(c.id); !errors.As(err, &gone) {
			t.Errorf("%s of a closed connection: got error %v, want GoneException", name, err)
		}
		if err := call("AAAAAAAAAAAAAAA="); !errors.As(err, &gone) {
			t.Errorf("%s of an unknown connection: got error %v, want GoneException", name, err)
		}
		for _, id := range []string{
			"nonsense", "AAAAAAAAAAAAAAA=test", "AAAAAAAAAAAAAAB=", "AAAAAAA\nAAAAAAA=", "a/b", "AAAAAAAAAAAAAAA%",
		} {
			var api smithy.APIError
			err := call(id)
			if !errors.As(err, &api) || api.ErrorCode() != "BadRequestException" ||
				api.ErrorMessage() != "Invalid connectionId: "+id {
				t.Errorf("%s of %q: got error %v, want BadRequestException", name, id, err)
			}
		}
	}
}

func TestManagement_Responses(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	g.dial(t, "", http.Header{"User-Agent": {`Mozilla "5"`}})
	id := contextOf(t, g.await(t, "connect", 1)[0]).ConnectionID
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	const noToken = "MissingAuthenticationTokenException"
	const invalidID = "WDGT8fY4joECJrQ=test"
	for _, test := range []struct {
		method, path     string
		status           int
		errorType, body  string
		contentType      string
		withTrace, exact bool
	}{
		{"POST", connectionPath(id), 200, "", "", "application/json", true, true},
		{"POST", strings.Replace(connectionPath(id), "@", "%40", 1), 200, "", "", "application/json", true, true},
		{"POST", "/prod/@connections/" + id, 200, "", "", "application/json", true, true},
		{"POST", connectionPath("AAAAAAAAAAAAAAA="), 410, "GoneException", "", "application/json", false, true},
		{"POST", connectionPath(invalidID), 400, "BadRequestException",
			`{"message":"Invalid connectionId: ` + invalidID + `"}`, "application/json", false, true},
		{"GET", connectionPath(id), 200, "",
			`{"identity":{"sourceIp":"127.0.0.1","userAgent":"Mozilla \"5\""},"connectedAt":"2`,
			"application/json", true, false},
		{"PUT", connectionPath(id), 403, noToken, `{"message":"Missing Authentication Token"}`,
			"application/json", false, true},
		{"POST", "/prod/@connections/", 403, noToken, `{"message":"Missing Authentication Token"}`,
			"application/json", false, true},
		{"POST", "/prod/@connections", 403, noToken, `{"message":"Missing Authentication Token"}`,
			"application/json", false, true},
		{"POST", strings.Replace(connectionPath(id), "prod", "dev", 1), 403, "ForbiddenException",
			`{"message":"Forbidden"}`, "application/json", false, true},
		{"POST", strings.Replace(connectionPath(id), "/prod", "", 1), 403, "ForbiddenException",
			`{"message":"Forbidden"}`, "application/json", false, true},
		{"DELETE", connectionPath(id), 204, "", "", "", true, true},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			response, body := g.call(t, test.method, test.path, "", nil)
			header := response.Header
			if response.StatusCode != test.status || header.Get("X-Amzn-ErrorType") != test.errorType ||
				header.Get("Content-Type") != test.contentType {
				t.Errorf("got %s with %v, want %d, error type %q and content type %q",
					response.Status, header, test.status, test.errorType, test.contentType)
			}
			if test.exact && body != test.body || !strings.HasPrefix(body, test.body) {
				t.Errorf("body: got %q, want %q", body, test.body)
			}
			if !uuid.MatchString(header.Get("X-Amzn-RequestId")) || len(header.Get("X-Amz-Apigw-Id")) != 16 {
				t.Errorf("ids: got %q and %q, want a UUID and 16 characters",
					header.Get("X-Amzn-RequestId"), header.Get("X-Amz-Apigw-Id"))
			}
			if got := strings.HasPrefix(header.Get("X-Amzn-Trace-Id"), "Root=1-"); got != test.withTrace {
				t.Errorf("X-Amzn-Trace-Id: got %q, want one: %v", header.Get("X-Amzn-Trace-Id"), test.withTrace)
			}
		})
	}
}

func TestManagement_GetWithoutUserAgent(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	_, body := g.call(t, "GET", connectionPath(c.id), "", nil)
	const timestamp = `"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`
	want := regexp.MustCompile(`^\{"identity":\{"sourceIp":"127.0.0.1","userAgent":null\},"connectedAt":` + timestamp +
		`,"lastActiveAt":` + timestamp + `\}$`)
	if !want.MatchString(body) || !json.Valid([]byte(body)) {
		t.Errorf("GET: got %s, want %s", body, want)
	}
}

func TestManagement_Signatures(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	for _, test := range []struct{ name, authorization, date, want string }{
		{"no header", "", "x", "MissingAuthenticationTokenException"},
		{"bearer token", "Bearer x", "x", "IncompleteSignatureException"},
		{"no scope", strings.Replace(signed, "/20261124/us-east-1/execute-api/aws4_request", "", 1), "x",
			"IncompleteSignatureException"},
		{"no signature", strings.Replace(signed, "Signature=", "S=", 1), "x", "IncompleteSignatureException"},
		{"no date", signed, "", "IncompleteSignatureException"},
		{"another service", strings.Replace(signed, "execute-api", "sqs", 1), "x", "InvalidSignatureException"},
		{"another region", strings.Replace(signed, "us-east-1", "eu-west-1", 1), "x", "InvalidSignatureException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{"Authorization": {test.authorization}, "X-Amz-Date": {test.date}}
			response, _ := g.call(t, "POST", connectionPath(c.id), "x", header)
			if response.StatusCode != 403 || response.Header.Get("X-Amzn-ErrorType") != test.want {
				t.Errorf("got %s %s, want 403 %s", response.Status, response.Header.Get("X-Amzn-ErrorType"), test.want)
			}
		})
	}
}

func TestManagement_AccessDenied(t *testing.T) {
	var asked []string
	g := start(t, newAPI(), apigateway.Options{Region: "eu-west-1", Account: "123456789012",
		Authorize: func(accessKeyID, action, resource string) error {
			asked = append(asked, accessKeyID+" "+action+" "+resource)
			return fmt.Errorf("User: x is not authorized to perform: %s on resource: %s", action, resource)
		}}, nil)
	c := g.open(t)
	header := http.Header{"Authorization": {strings.Replace(signed, "us-east-1", "eu-west-1", 1)}}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		response, body := g.call(t, method, connectionPath(c.id), "", header)
		if response.StatusCode != 403 || response.Header.Get("X-Amzn-ErrorType") != "AccessDeniedException" {
			t.Errorf("%s: got %s %v, want 403 AccessDeniedException", method, response.Status, response.Header)
		}
		resource := "arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/prod/" + method + "/@connections/{connectionId}"
		want := `{"message":"User: x is not authorized to perform: execute-api:ManageConnections on resource: ` +
			resource + `"}`
		if body != want {
			t.Errorf("%s: got %s, want %s", method, body, want)
		}
		if got, want := asked[len(asked)-1], "AKIDEXAMPLE execute-api:ManageConnections "+resource; got != want {
			t.Errorf("arguments of Authorize: got %s, want %s", got, want)
		}
	}
}

func TestManagement_PostOrder(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	const callers, posts = 4, 200
	var posting sync.WaitGroup
	for caller := range callers {
		posting.Go(func() {
			for i := range posts {
				if status := g.post(t, c.id, fmt.Sprintf("%d %d", caller, i)); status != 200 {
					t.Errorf("post: got %d, want 200", status)
				}
			}
		})
	}
	var next [callers]int
	for range callers * posts {
		var caller, i int
		if _, err := fmt.Sscan(string(c.next().Payload), &caller, &i); err != nil {
			t.Fatal(err)
		}
		if i != next[caller] {
			t.Fatalf("caller %d: got message %d, want %d", caller, i, next[caller])
		}
		next[caller]++
	}
	posting.Wait()
}

// A client that does not read delays no other client. When it reads again, it receives all accepted messages. If it
// never reads, it is still disconnected.
func TestConnection_SlowClient(t *testing.T) {
	for _, reads := range []bool{true, false} {
		t.Run(fmt.Sprintf("reads again: %v", reads), func(t *testing.T) {
			if !reads {
				t.Cleanup(apigateway.SetCloseGrace(time.Second))
			}
			g := start(t, newAPI(), apigateway.Options{SendBuffer: 256 * kib}, nil)
			slow := g.open(t)
			slow.conn.(*net.TCPConn).SetReadBuffer(64 * kib)
			body := func(i int) string { return fmt.Sprintf("%06d", i) + string(text(32*kib-6)) }
			accepted := 0
			for ; ; accepted++ {
				if status := g.post(t, slow.id, body(accepted)); status == 200 {
					continue
				} else if status != 429 || accepted > 10_000 {
					t.Fatalf("post %d: got %d, want 429 when the buffer is full", accepted, status)
				}
				response, errorBody := g.call(t, "POST", connectionPath(slow.id), body(accepted), nil)
				if response.StatusCode == 200 {
					continue // the kernel has accepted more meanwhile
				}
				if response.StatusCode != 429 || response.Header.Get("X-Amzn-ErrorType") != "LimitExceededException" ||
					errorBody != "" {
					t.Errorf("full buffer: got %s %v %q, want 429 LimitExceededException without a body",
						response.Status, response.Header, errorBody)
				}
				break
			}
			other := g.open2(t, slow.id)
			if status := g.post(t, other.id, "x"); status != 200 {
				t.Errorf("post to another client: got %d, want 200", status)
			}
			other.want("x")
			if !reads {
				g.call(t, "DELETE", connectionPath(slow.id), "", nil)
				got := contextOf(t, g.await(t, "disconnect", 1)[0])
				if got.ConnectionID != slow.id || got.DisconnectStatusCode != 1000 {
					t.Errorf("$disconnect: got %+v, want connection %s and code 1000", got, slow.id)
				}
				return
			}
			for i := range accepted {
				if f := slow.next(); string(f.Payload) != body(i) {
					t.Fatalf("message %d: got one of %d bytes that begins with %.6s", i, len(f.Payload), f.Payload)
				}
			}
			// After everything is read, the buffer has room again.
			deadline := time.Now().Add(testTimeout)
			for g.post(t, slow.id, "again") != 200 {
				if time.Now().After(deadline) {
					t.Fatal("timed out waiting for room in the buffer")
				}
			}
			slow.want("again")
		})
	}
}

// open2 connects a second client. first is the id of the first one.
func (g *gateway) open2(t *testing.T, first string) *client {
	t.Helper()
	c := g.dial(t, "", nil)
	for _, event := range g.await(t, "connect", 2) {
		if id := contextOf(t, event).ConnectionID; id != first {
			c.id = id
		}
	}
	return c
}

func TestConnection_LargeMessageEmptyBuffer(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{SendBuffer: 1}, nil)
	c := g.open(t)
	if status := g.post(t, c.id, string(text(128*kib))); status != 200 {
		t.Errorf("post: got %d, want 200", status)
	}
	for range 4 {
		c.next()
	}
}

func TestObserve_Posts(t *testing.T) {
	posted := make(chan apigateway.Event, 8)
	g := start(t, newAPI(), apigateway.Options{Observe: func(e apigateway.Event) {
		if e.Kind == apigateway.Posted {
			posted <- e
		}
	}}, nil)
	c := g.open(t)
	g.post(t, c.id, "hello")
	g.post(t, "AAAAAAAAAAAAAAA=", "x")
	for _, want := range []apigateway.Event{
		{Connection: c.id, Status: 200, Bytes: 5}, {Connection: "AAAAAAAAAAAAAAA=", Status: 410, Bytes: 1},
	} {
		got := <-posted
		if got.Connection != want.Connection || got.Status != want.Status || got.Bytes != want.Bytes ||
			got.Method != "POST" {
			t.Errorf("event: got %+v, want %+v and POST", got, want)
		}
	}
}
