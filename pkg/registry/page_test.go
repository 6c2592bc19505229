package registry_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"fanfare/pkg/registry"
	"fanfare/test/awstest"
)

// answering returns a table whose DynamoDB answers the requests in turn, and the requests.
func answering(t *testing.T, answers ...string) (*registry.Table, *[]map[string]any) {
	t.Helper()
	var requests []map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		var request map[string]any
		if err := json.Unmarshal(body, &request); err != nil {
			t.Error(err)
		}
		io.WriteString(w, answers[len(requests)%len(answers)])
		requests = append(requests, request)
	}))
	t.Cleanup(server.Close)
	return &registry.Table{Client: dynamodb.NewFromConfig(awstest.Config(server.URL)), Name: "connections"}, &requests
}

// The next page starts after the last row that DynamoDB read, which need not be one that it returned.
func TestTable_PageNext(t *testing.T) {
	expiry := time.Now().Add(time.Hour).Unix()
	item := func(id string) string {
		return fmt.Sprintf(`{"connectionId":{"S":%q},"connectedAt":{"N":"1"},"expiresAt":{"N":"%d"}}`, id, expiry)
	}
	table, requests := answering(t,
		`{"Items":[`+item("a=")+`],"LastEvaluatedKey":{"connectionId":{"S":"b="}}}`,
		`{"Items":[],"LastEvaluatedKey":{"connectionId":{"S":"c="}}}`,
		`{"Items":[`+item("d=")+`]}`)
	ids, pages := all(t, table, 1, 3)
	if !slices.Equal(ids, []string{"a=", "d="}) || pages != 3 {
		t.Errorf("got %v on %d pages, want a= and d= on 3", ids, pages)
	}
	for i, after := range []string{"", "b=", "c="} {
		request := (*requests)[i]
		start, given := request["ExclusiveStartKey"]
		if given != (after != "") || given && !strings.Contains(fmt.Sprint(start), after) {
			t.Errorf("page %d: got start key %v, want %q", i, start, after)
		}
		if request["Segment"] != 1.0 || request["TotalSegments"] != 3.0 || request["ConsistentRead"] != true {
			t.Errorf("page %d: got %v, want segment 1 of 3, consistent", i, request)
		}
	}
}

// A row that another program wrote is an error.
func TestTable_PageMalformed(t *testing.T) {
	for name, test := range map[string]struct{ answer, want string }{
		"no id":             {`{"Items":[{"connectedAt":{"N":"1"},"expiresAt":{"N":"1"}}]}`, "connectionId"},
		"another id":        {`{"Items":[{"connectionId":{"N":"1"}}]}`, "connectionId"},
		"no connectedAt":    {`{"Items":[{"connectionId":{"S":"a="},"expiresAt":{"N":"1"}}]}`, "connectedAt of"},
		"no expiresAt":      {`{"Items":[{"connectionId":{"S":"a="},"connectedAt":{"N":"1"}}]}`, "expiresAt of"},
		"a fraction":        {`{"Items":[{"connectionId":{"S":"a="},"connectedAt":{"N":"1.5"}}]}`, "connectedAt"},
		"another key":       {`{"Items":[],"LastEvaluatedKey":{"id":{"S":"a="}}}`, "its key is not connectionId"},
		"a key of a number": {`{"Items":[],"LastEvaluatedKey":{"connectionId":{"N":"1"}}}`, "its key is not connectionId"},
		"a text as goneAt": {
			`{"Items":[{"connectionId":{"S":"a="},"connectedAt":{"N":"1"},"expiresAt":{"N":"1"},"goneAt":{"S":"x"}}]}`,
			"goneAt",
		},
	} {
		table, _ := answering(t, test.answer)
		connections, next, err := table.Page(t.Context(), 0, 1, "")
		if err == nil || !strings.Contains(err.Error(), test.want) || len(connections) > 0 || next != "" {
			t.Errorf("%s: got %v, next %q, %v, want an error about %s", name, connections, next, err, test.want)
		}
	}
}
