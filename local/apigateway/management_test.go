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

// post makes a management request without a socket.
func (g *gateway) post(t testing.TB, id, body string) int {
	request := httptest.NewRequestWithContext(t.Context(), "POST", connectionPath(id), strings.NewReader(body))
	request.Header.Set("Authorization", signed)
	request.Header.Set("X-Amz-Date", "20261124T000000Z")
	answer := httptest.NewRecorder()
	g.ServeHTTP(answer, request)
	return answer.Code
}

func TestSDKSeesItsTypedErrors(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	sdk := g.management()
	if _, err := sdk.PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &c.id, Data: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	c.want("hello")
	got, err := sdk.GetConnection(t.Context(), &apigatewaymanagementapi.GetConnectionInput{ConnectionId: &c.id})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(got.Identity.SourceIp) != "127.0.0.1" || time.Since(*got.ConnectedAt) > patience || got.LastActiveAt.Before(*got.ConnectedAt) {
		t.Errorf("GetConnection says %+v", got)
	}
	var tooLarge *types.PayloadTooLargeException
	_, err = sdk.PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &c.id, Data: make([]byte, 131073)})
	if !errors.As(err, &tooLarge) || tooLarge.ErrorMessage() == "" {
		t.Errorf("a post of 131,073 bytes is answered with %v", err)
	}
	if _, err := sdk.DeleteConnection(t.Context(), &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: &c.id}); err != nil {
		t.Fatal(err)
	}
	c.wantClose(1000, "Connection Closed Normally")
	var gone *types.GoneException
	for name, call := range map[string]func(id string) error{
		"POST": func(id string) error {
			_, err := sdk.PostToConnection(t.Context(), &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: &id, Data: []byte("x")})
			return err
		},
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
			t.Errorf("%s of a closed connection is answered with %v", name, err)
		}
		if err := call("AAAAAAAAAAAAAAA="); !errors.As(err, &gone) {
			t.Errorf("%s of a connection that never was is answered with %v", name, err)
		}
		for _, id := range []string{"nonsense", "AAAAAAAAAAAAAAA=test", "AAAAAAAAAAAAAAB=", "AAAAAAA\nAAAAAAA=", "a/b", "AAAAAAAAAAAAAAA%"} {
			var api smithy.APIError
			err := call(id)
			if !errors.As(err, &api) || api.ErrorCode() != "BadRequestException" || api.ErrorMessage() != "Invalid connectionId: "+id {
				t.Errorf("%s of %q is answered with %v", name, id, err)
			}
		}
	}
}

func TestManagementAnswersAsCaptured(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	g.dial(t, "", http.Header{"User-Agent": {`Mozilla "5"`}})
	id := contextOf(t, g.await(t, "connect", 1)[0]).ConnectionID
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
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
		{"POST", connectionPath("WDGT8fY4joECJrQ=test"), 400, "BadRequestException", `{"message":"Invalid connectionId: WDGT8fY4joECJrQ=test"}`, "application/json", false, true},
		{"GET", connectionPath(id), 200, "", `{"identity":{"sourceIp":"127.0.0.1","userAgent":"Mozilla \"5\""},"connectedAt":"2`, "application/json", true, false},
		{"PUT", connectionPath(id), 403, "MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`, "application/json", false, true},
		{"POST", "/prod/@connections/", 403, "MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`, "application/json", false, true},
		{"POST", "/prod/@connections", 403, "MissingAuthenticationTokenException", `{"message":"Missing Authentication Token"}`, "application/json", false, true},
		{"POST", strings.Replace(connectionPath(id), "prod", "dev", 1), 403, "ForbiddenException", `{"message":"Forbidden"}`, "application/json", false, true},
		{"POST", strings.Replace(connectionPath(id), "/prod", "", 1), 403, "ForbiddenException", `{"message":"Forbidden"}`, "application/json", false, true},
		{"DELETE", connectionPath(id), 204, "", "", "", true, true},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			response, body := g.call(t, test.method, test.path, "", nil)
			header := response.Header
			if response.StatusCode != test.status || header.Get("X-Amzn-ErrorType") != test.errorType || header.Get("Content-Type") != test.contentType {
				t.Errorf("got %s with %v", response.Status, header)
			}
			if test.exact && body != test.body || !strings.HasPrefix(body, test.body) {
				t.Errorf("the body is %q, want %q", body, test.body)
			}
			if !uuid.MatchString(header.Get("X-Amzn-RequestId")) || len(header.Get("X-Amz-Apigw-Id")) != 16 {
				t.Errorf("the ids are %q and %q", header.Get("X-Amzn-RequestId"), header.Get("X-Amz-Apigw-Id"))
			}
			if got := strings.HasPrefix(header.Get("X-Amzn-Trace-Id"), "Root=1-"); got != test.withTrace {
				t.Errorf("X-Amzn-Trace-Id is %q", header.Get("X-Amzn-Trace-Id"))
			}
		})
	}
}

func TestGetOfAClientWithoutUserAgent(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	_, body := g.call(t, "GET", connectionPath(c.id), "", nil)
	want := regexp.MustCompile(`^\{"identity":\{"sourceIp":"127.0.0.1","userAgent":null\},"connectedAt":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","lastActiveAt":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"\}$`)
	if !want.MatchString(body) || !json.Valid([]byte(body)) {
		t.Errorf("GET says %s", body)
	}
}

func TestManagementRequestsMustBeSigned(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	for _, test := range []struct{ name, authorization, date, want string }{
		{"not at all", "", "x", "MissingAuthenticationTokenException"},
		{"by a bearer token", "Bearer x", "x", "IncompleteSignatureException"},
		{"without a scope", strings.Replace(signed, "/20261124/us-east-1/execute-api/aws4_request", "", 1), "x", "IncompleteSignatureException"},
		{"without a signature", strings.Replace(signed, "Signature=", "S=", 1), "x", "IncompleteSignatureException"},
		{"without a date", signed, "", "IncompleteSignatureException"},
		{"for another service", strings.Replace(signed, "execute-api", "sqs", 1), "x", "InvalidSignatureException"},
		{"for another region", strings.Replace(signed, "us-east-1", "eu-west-1", 1), "x", "InvalidSignatureException"},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{"Authorization": {test.authorization}, "X-Amz-Date": {test.date}}
			response, _ := g.call(t, "POST", connectionPath(c.id), "x", header)
			if response.StatusCode != 403 || response.Header.Get("X-Amzn-ErrorType") != test.want {
				t.Errorf("the answer is %s %s, want %s", response.Status, response.Header.Get("X-Amzn-ErrorType"), test.want)
			}
		})
	}
}

func TestDeniedCallNamesActionAndResource(t *testing.T) {
	var asked []string
	g := start(t, newAPI(), apigateway.Options{Region: "eu-west-1", Account: "123456789012",
		Authorize: func(accessKeyID, action, resource string) error {
			asked = append(asked, accessKeyID+" "+action+" "+resource)
			return fmt.Errorf("User: x is not authorized to perform: %s on resource: %s", action, resource)
		}}, nil)
	c := g.open(t)
	for _, method := range []string{"POST", "GET", "DELETE"} {
		response, body := g.call(t, method, connectionPath(c.id), "", http.Header{"Authorization": {strings.Replace(signed, "us-east-1", "eu-west-1", 1)}})
		if response.StatusCode != 403 || response.Header.Get("X-Amzn-ErrorType") != "AccessDeniedException" {
			t.Errorf("%s is answered with %s %v", method, response.Status, response.Header)
		}
		resource := "arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/prod/" + method + "/@connections/{connectionId}"
		if want := `{"message":"User: x is not authorized to perform: execute-api:ManageConnections on resource: ` + resource + `"}`; body != want {
			t.Errorf("%s says %s, want %s", method, body, want)
		}
		if got, want := asked[len(asked)-1], "AKIDEXAMPLE execute-api:ManageConnections "+resource; got != want {
			t.Errorf("Authorize was asked for %s, want %s", got, want)
		}
	}
}

func TestPostsOfOneCallerStayInOrder(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{}, nil)
	c := g.open(t)
	const callers, posts = 4, 200
	var posting sync.WaitGroup
	for caller := range callers {
		posting.Go(func() {
			for i := range posts {
				if status := g.post(t, c.id, fmt.Sprintf("%d %d", caller, i)); status != 200 {
					t.Errorf("a post is answered with %d", status)
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
			t.Fatalf("caller %d: message %d came, want %d", caller, i, next[caller])
		}
		next[caller]++
	}
	posting.Wait()
}

// A client that does not read is the only one to suffer, gets all it was promised when it reads again, and is still
// disconnected when it never does.
func TestSlowClientFillsOnlyItsOwnBuffer(t *testing.T) {
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
					t.Fatalf("after %d posts the answer is %d", accepted, status)
				}
				response, errorBody := g.call(t, "POST", connectionPath(slow.id), body(accepted), nil)
				if response.StatusCode == 200 {
					continue // the kernel has taken more of it meanwhile
				}
				if response.StatusCode != 429 || response.Header.Get("X-Amzn-ErrorType") != "LimitExceededException" || errorBody != "" {
					t.Errorf("a full buffer is answered with %s %v %q", response.Status, response.Header, errorBody)
				}
				break
			}
			other := g.open2(t, slow.id)
			if status := g.post(t, other.id, "x"); status != 200 {
				t.Errorf("another client's post is answered with %d", status)
			}
			other.want("x")
			if !reads {
				g.call(t, "DELETE", connectionPath(slow.id), "", nil)
				got := contextOf(t, g.await(t, "disconnect", 1)[0])
				if got.ConnectionID != slow.id || got.DisconnectStatusCode != 1000 {
					t.Errorf("$disconnect got %+v", got)
				}
				return
			}
			for i := range accepted {
				if f := slow.next(); string(f.Payload) != body(i) {
					t.Fatalf("for message %d came one of %d bytes, %.6s", i, len(f.Payload), f.Payload)
				}
			}
			// With everything read there is room again, soon.
			deadline := time.Now().Add(patience)
			for g.post(t, slow.id, "again") != 200 {
				if time.Now().After(deadline) {
					t.Fatal("the buffer stays full")
				}
			}
			slow.want("again")
		})
	}
}

// open2 connects a client besides the one with the given id.
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

func TestOneGreatMessageFitsAnEmptyBuffer(t *testing.T) {
	g := start(t, newAPI(), apigateway.Options{SendBuffer: 1}, nil)
	c := g.open(t)
	if status := g.post(t, c.id, string(text(128*kib))); status != 200 {
		t.Errorf("the answer is %d", status)
	}
	for range 4 {
		c.next()
	}
}

func TestEventsOfPostsAreObserved(t *testing.T) {
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
		if got := <-posted; got.Connection != want.Connection || got.Status != want.Status || got.Bytes != want.Bytes || got.Method != "POST" {
			t.Errorf("observed %+v, want %+v", got, want)
		}
	}
}
