package iam

import (
	"errors"
	"strings"
	"testing"
)

const (
	account = "000000000000"
	queue   = "arn:aws:sqs:us-east-1:000000000000:chat"
	table   = "arn:aws:dynamodb:us-east-1:000000000000:table/chat"
	role    = "arn:aws:iam::000000000000:role/sender"
	session = "arn:aws:sts::000000000000:assumed-role/sender/sender"
)

func parse(t *testing.T, document string, kind Kind) Document {
	t.Helper()
	parsed, err := Parse([]byte(document), kind)
	if err != nil {
		t.Fatalf("Parse(%s): %v", document, err)
	}
	return parsed
}

// statement returns a document with one statement that allows and has further elements.
func statement(elements string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + elements + `}]}`
}

func TestAuthorize_IdentityPolicies(t *testing.T) {
	deny := `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},` +
		`{"Effect":"Deny","Action":"sqs:Delete*","Resource":"*"}]}`
	for _, test := range []struct {
		name, document, action, resource string
		allowed                          bool
	}{
		{"exact", statement(`"Action":"sqs:SendMessage","Resource":"` + queue + `"`), "sqs:SendMessage", queue, true},
		{"actions ignore case", statement(`"Action":"SQS:sendmessage","Resource":"*"`), "sqs:SendMessage", queue, true},
		{"resources do not", statement(`"Action":"sqs:SendMessage","Resource":"arn:aws:sqs:us-east-1:000000000000:CHAT"`),
			"sqs:SendMessage", queue, false},
		{"another action", statement(`"Action":"sqs:SendMessage","Resource":"*"`), "sqs:DeleteMessage", queue, false},
		{"another resource", statement(`"Action":"sqs:*","Resource":"` + queue + `-dead"`), "sqs:SendMessage", queue, false},
		{"wildcard in the action", statement(`"Action":["s3:*","sqs:Send*"],"Resource":["*"]`), "sqs:SendMessageBatch", queue,
			true},
		{"? is one character", statement(`"Action":"sqs:SendMessag?","Resource":"*"`), "sqs:SendMessageBatch", queue, false},
		{"wildcard in the resource", statement(`"Action":"dynamodb:Query","Resource":"` + table + `/index/*"`),
			"dynamodb:Query", table + "/index/rooms", true},
		{"the table is not its index", statement(`"Action":"dynamodb:Query","Resource":"` + table + `"`), "dynamodb:Query",
			table + "/index/rooms", false},
		{"NotAction leaves out", statement(`"NotAction":"sqs:*","Resource":"*"`), "sqs:SendMessage", queue, false},
		{"NotAction covers the rest", statement(`"NotAction":"iam:*","Resource":"*"`), "sqs:SendMessage", queue, true},
		{"NotResource leaves out", statement(`"Action":"sqs:*","NotResource":"` + queue + `"`), "sqs:SendMessage", queue,
			false},
		{"NotResource covers the rest", statement(`"Action":"sqs:*","NotResource":"` + queue + `"`), "sqs:SendMessage",
			queue + "2", true},
		{"a single statement needs no list", `{"Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}`,
			"sqs:SendMessage", queue, true},
		{"Deny wins over Allow", deny, "sqs:DeleteMessage", queue, false},
		{"Deny denies only what it names", deny, "sqs:SendMessage", queue, true},
		{"nothing is allowed by nothing", `{"Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`,
			"sqs:SendMessage", queue, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Authorize([]Document{parse(t, test.document, Identity)}, nil, Request{
				Caller: session, Role: role, Account: account, Action: test.action, Resource: test.resource,
			})
			if (err == nil) != test.allowed {
				t.Errorf("%s on %s: got %v, want allowed %v", test.action, test.resource, err, test.allowed)
			}
		})
	}
}

func TestAuthorize_ResourcePolicies(t *testing.T) {
	policy := func(effect, principal string) string {
		return `{"Statement":[{"Effect":"` + effect + `","Principal":` + principal +
			`,"Action":"sqs:SendMessage","Resource":"*"}]}`
	}
	everything := statement(`"Action":"*","Resource":"*"`)
	for _, test := range []struct {
		name, identity, resource string
		allowed                  bool
	}{
		{"either policy can allow: the resource's for the role", "", policy("Allow", `{"AWS":"`+role+`"}`), true},
		{"for the session", "", policy("Allow", `{"AWS":["`+session+`"]}`), true},
		{"for anyone", "", policy("Allow", `"*"`), true},
		{"for any AWS principal", "", policy("Allow", `{"AWS":"*"}`), true},
		{"for another role", "", policy("Allow", `{"AWS":"arn:aws:iam::000000000000:role/other"}`), false},
		{"for a service", "", policy("Allow", `{"Service":"sns.amazonaws.com"}`), false},
		{"the account delegates to its roles' own policies", "", policy("Allow", `{"AWS":"000000000000"}`), false},
		{"which then allow", everything, policy("Allow", `{"AWS":"arn:aws:iam::000000000000:root"}`), true},
		{"Deny for the role", everything, policy("Deny", `{"AWS":"`+role+`"}`), false},
		{"Deny for the account includes its roles", everything, policy("Deny", `{"AWS":"arn:aws:iam::000000000000:root"}`),
			false},
		{"Deny for others", everything, policy("Deny", `{"AWS":"111111111111"}`), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var identity []Document
			if test.identity != "" {
				identity = append(identity, parse(t, test.identity, Identity))
			}
			err := Authorize(identity, []Document{parse(t, test.resource, Resource)}, Request{
				Caller: session, Role: role, Account: account, Action: "sqs:SendMessage", Resource: queue,
			})
			if (err == nil) != test.allowed {
				t.Errorf("got %v, want allowed %v", err, test.allowed)
			}
		})
	}
}

func TestDenied_Error(t *testing.T) {
	request := Request{Caller: session, Role: role, Account: account, Action: "sqs:SendMessage", Resource: queue}
	service := Request{Caller: "apigateway.amazonaws.com", Service: "apigateway.amazonaws.com",
		Action: "lambda:InvokeFunction", Resource: "arn"}
	start := "User: " + session + " is not authorized to perform: sqs:SendMessage on resource: " + queue
	denyAll := `"Effect":"Deny","Action":"*","Resource":"*"`
	for _, test := range []struct {
		name               string
		identity, resource []Document
		request            Request
		want               string
	}{
		{"no policy allows", nil, nil, request,
			start + " because no identity-based policy allows the sqs:SendMessage action"},
		{"a policy of the role denies", []Document{parse(t, `{"Statement":[{`+denyAll+`}]}`, Identity)}, nil, request,
			start + " with an explicit deny in an identity-based policy"},
		{"a policy of the resource denies", nil,
			[]Document{parse(t, `{"Statement":[{"Principal":"*",`+denyAll+`}]}`, Resource)}, request,
			start + " with an explicit deny in a resource-based policy"},
		{"no policy of the resource lets the service in", nil, nil, service,
			"User: apigateway.amazonaws.com is not authorized to perform: " +
				"lambda:InvokeFunction on resource: arn because no resource-based policy allows the lambda:InvokeFunction action"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Authorize(test.identity, test.resource, test.request)
			var denied *Denied
			if !errors.As(err, &denied) || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	context := map[string][]string{
		"aws:sourcearn":       {"arn:aws:execute-api:us-east-1:000000000000:api/prod/$connect"},
		"aws:sourceaccount":   {account},
		"aws:securetransport": {"true"},
		"aws:calledvia":       {"lambda.amazonaws.com", "sqs.amazonaws.com"},
		"aws:resourceaccount": {"12.5"},
	}
	for _, test := range []struct {
		condition string
		holds     bool
	}{
		{`{"StringEquals":{"aws:SourceAccount":"000000000000"}}`, true},
		{`{"StringEquals":{"AWS:sourceaccount":["1","000000000000"]}}`, true},
		{`{"StringEquals":{"aws:SourceAccount":"1"}}`, false},
		{`{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}`, false}, // the request does not say
		{`{"StringEqualsIfExists":{"aws:RequestedRegion":"us-east-1"}}`, true},
		{`{"StringNotEquals":{"aws:SourceAccount":["1","000000000000"]}}`, false},
		{`{"StringNotEquals":{"aws:SourceAccount":"1"}}`, true},
		{`{"StringNotEquals":{"aws:RequestedRegion":"us-east-1"}}`, true},
		{`{"StringEqualsIgnoreCase":{"aws:SecureTransport":"TRUE"}}`, true},
		{`{"StringLike":{"aws:SourceArn":"arn:aws:execute-api:*/$connect"}}`, true},
		{`{"StringNotLike":{"aws:SourceArn":"*$connect"}}`, false},
		{`{"ArnLike":{"aws:SourceArn":"arn:aws:execute-api:*:000000000000:api/*/$connect"}}`, true},
		{`{"ArnLike":{"aws:SourceArn":"arn:aws:execute-api:*"}}`, false}, // each segment on its own
		{`{"ArnEquals":{"aws:SourceArn":"arn:aws:execute-api:us-east-1:*:api/prod/$connect"}}`, true},
		{`{"ArnNotLike":{"aws:SourceArn":"arn:aws:execute-api:*:*:api/*"}}`, false},
		{`{"Bool":{"aws:SecureTransport":false}}`, false},
		{`{"Bool":{"aws:SecureTransport":"true"}}`, true},
		{`{"Null":{"aws:RequestedRegion":"true"}}`, true},
		{`{"Null":{"aws:SourceAccount":"true"}}`, false},
		{`{"Null":{"aws:SourceAccount":false}}`, true},
		{`{"NumericLessThan":{"aws:ResourceAccount":13}}`, true},
		{`{"NumericGreaterThanEquals":{"aws:ResourceAccount":"12.5"}}`, true},
		{`{"NumericGreaterThan":{"aws:ResourceAccount":"12.5"}}`, false},
		{`{"NumericNotEquals":{"aws:ResourceAccount":12.5}}`, false},
		{`{"NumericEquals":{"aws:SourceArn":1}}`, false},
		{`{"ForAnyValue:StringEquals":{"aws:CalledVia":"sqs.amazonaws.com"}}`, true},
		{`{"ForAllValues:StringEquals":{"aws:CalledVia":"sqs.amazonaws.com"}}`, false},
		{`{"ForAllValues:StringLike":{"aws:CalledVia":"*.amazonaws.com"}}`, true},
		{`{"ForAllValues:StringLike":{"aws:PrincipalArn":"x"}}`, true}, // nothing to object to
		{`{"ForAnyValue:StringLike":{"aws:PrincipalArn":"*"}}`, false},
		{`{"ForAnyValue:StringNotEquals":{"aws:PrincipalArn":"x"}}`, false},
		{`{"Bool":{"aws:SecureTransport":true},"StringEquals":{"aws:SourceAccount":"1"}}`, false}, // all must hold
	} {
		document := parse(t, statement(`"Action":"sqs:*","Resource":"*","Condition":`+test.condition), Identity)
		err := Authorize([]Document{document}, nil,
			Request{Role: role, Action: "sqs:SendMessage", Resource: queue, Context: context})
		if (err == nil) != test.holds {
			t.Errorf("%s: got %v, want %v", test.condition, err == nil, test.holds)
		}
	}
}

func TestParse_Invalid(t *testing.T) {
	for _, test := range []struct {
		name, document string
		kind           Kind
		want           string // in the error
	}{
		{"what is not JSON", `{`, Identity, "unexpected"},
		{"more than one document", statement(`"Action":"sqs:*","Resource":"*"`) + `{}`, Identity, "more data"},
		{"an unknown element", statement(`"Actions":"sqs:*","Resource":"*"`), Identity, "Actions"},
		{"an unknown version", `{"Version":"2020-01-01","Statement":[]}`, Identity, "2020-01-01"},
		{"no statement", `{"Version":"2012-10-17"}`, Identity, "Statement"},
		{"no effect", `{"Statement":{"Action":"sqs:*","Resource":"*"}}`, Identity, "Effect"},
		{"no action", statement(`"Resource":"*"`), Identity, "Action"},
		{"both actions", statement(`"Action":"sqs:*","NotAction":"s3:*","Resource":"*"`), Identity, "exactly one"},
		{"an action without service", statement(`"Action":"SendMessage","Resource":"*"`), Identity, `"SendMessage"`},
		{"no resource", statement(`"Action":"sqs:*"`), Identity, "Resource"},
		{"a name for a resource", statement(`"Action":"sqs:*","Resource":"chat"`), Identity, `"chat"`},
		{"a principal in an identity policy", statement(`"Action":"sqs:*","Resource":"*","Principal":"*"`), Identity,
			"Principal"},
		{"no principal in a resource policy", statement(`"Action":"sqs:*","Resource":"*"`), Resource, "Principal"},
		{"an unknown principal", statement(`"Action":"sqs:*","Resource":"*","Principal":{"User":"me"}`), Resource, `"User"`},
		{"a principal other than *", statement(`"Action":"sqs:*","Resource":"*","Principal":"me"`), Resource, `"me"`},
		{"NotPrincipal", statement(`"Action":"sqs:*","Resource":"*","NotPrincipal":"*"`), Resource, "NotPrincipal"},
		{"a resource in a trust policy", statement(`"Action":"sts:AssumeRole","Resource":"*","Principal":"*"`), Trust,
			"trust policy"},
		{"a policy variable", statement(`"Action":"sqs:*","Resource":"arn:aws:sqs:*:*:${aws:username}"`), Identity,
			"variables"},
		{"a policy variable in a condition",
			statement(`"Action":"sqs:*","Resource":"*","Condition":{"StringLike":{"aws:PrincipalArn":"${aws:username}"}}`),
			Identity, "${aws:username}"},
		{"an operator by name",
			statement(`"Action":"sqs:*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}}`),
			Identity, "DateLessThan"},
		{"an address", statement(`"Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`),
			Identity, "IpAddress"},
		{"a set operator by name",
			statement(`"Action":"sqs:*","Resource":"*","Condition":{"ForSome:Bool":{"aws:SecureTransport":true}}`), Identity,
			"ForSome"},
		{"a key by name", statement(`"Action":"dynamodb:*","Resource":"*",` +
			`"Condition":{"ForAllValues:StringEquals":{"dynamodb:LeadingKeys":"x"}}`), Identity, "dynamodb:LeadingKeys"},
		{"Null with a suffix",
			statement(`"Action":"sqs:*","Resource":"*","Condition":{"NullIfExists":{"aws:PrincipalArn":true}}`), Identity,
			"NullIfExists"},
		{"a value that is a map",
			statement(`"Action":"sqs:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":{}}}`), Identity, "{}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.document), test.kind)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Parse(%s): got %v, want an error with %q", test.document, err, test.want)
			}
		})
	}
}

func TestConditions_OtherServices(t *testing.T) {
	document := parse(t, statement(`"Action":"cloudwatch:PutMetricData","Resource":"*",`+
		`"Condition":{"StringEquals":{"cloudwatch:namespace":"chat"}}`), Identity)
	if err := Authorize([]Document{document}, nil, Request{Action: "sqs:SendMessage", Resource: queue}); err == nil {
		t.Error("got no error for SQS, want a denial")
	}
	if err := Authorize([]Document{document}, nil,
		Request{Action: "cloudwatch:PutMetricData", Resource: "*"}); err == nil {
		t.Error("got no error for a condition that cannot be evaluated, want a denial")
	}
}

func TestMatchARN(t *testing.T) {
	const connections = "arn:aws:execute-api:us-east-1:000000000000:api/prod/POST/@connections/{connectionId}"
	for _, test := range []struct {
		pattern, arn string
		want         bool
	}{
		{"*", queue, true},
		{"arn:aws:sqs:us-east-1:000000000000:*", queue, true},
		{"arn:aws:sqs:*:*:chat", queue, true},
		{"arn:aws:logs:*:*:log-group:*:*", "arn:aws:logs:r:a:log-group:x:log-stream:y", true},
		// a * at the end of a segment matches colons
		{"arn:aws:sqs:us-*-1:*:chat", queue, true},    // a * inside a segment
		{"arn:aws:sqs:us-*chat", queue, false},        // matches no colon
		{"arn:aws:sqs:u?-east-1:*:cha?", queue, true}, // ? is one character
		{"arn:aws:sqs:us-east-1?000000000000:chat", queue, false},
		{"arn:aws:sqs", queue, true}, // completed with wildcards
		{"arn:aws:s3", queue, false},
		{"arn:aws:execute-api:us-east-1:000000000000:api/prod/POST/@connections/*", connections, true},
		{"arn:aws:execute-api:us-east-1:000000000000:api/prod/POST/@connections", connections, false},
		{"arn:aws:execute-api:*:*:api/*", connections, true},
		{"arn:aws:execute-api:*:*:api/*/GET/*", connections, false},
		{"arn:aws:sqs:*:a*:b*c", "arn:aws:sqs:x:a:bz:bc", true},                 // backtracking
		{"arn:aws:logs:r:a:log-group?x", "arn:aws:logs:r:a:log-group:x", false}, // ? matches no colon
		{"arn:aws:logs:r:a:log*x", "arn:aws:logs:r:a:log-group:x", false},       // a * inside a segment matches no colon
		{"arn:aws:logs:r:a:log*", "arn:aws:logs:r:a:log-group:x", true},
		{"arn:aws:logs:r:a:x?", "arn:aws:logs:r:a:x:", false},
		{"", queue, false},
	} {
		if got := MatchARN(test.pattern, test.arn); got != test.want {
			t.Errorf("MatchARN(%q, %q): got %v, want %v", test.pattern, test.arn, got, test.want)
		}
	}
	long := strings.Repeat("*a", 2000)
	if Match(long, strings.Repeat("a", 1999)) || !Match(long, strings.Repeat("a", 2000)) {
		t.Error("pattern longer than the buffer: got a wrong match")
	}
}

func TestManagedPolicies(t *testing.T) {
	for _, name := range ManagedNames() {
		document, ok := Managed(managedPrefix + name)
		if !ok || len(document.Statements) == 0 {
			t.Errorf("Managed(%s): got %v, %v, want statements", name, document, ok)
		}
		bare := name[strings.LastIndexByte(name, '/')+1:]
		if arn, ok := ManagedARN(bare); !ok || arn != managedPrefix+name {
			t.Errorf("ManagedARN(%s): got %s, %v, want %s", bare, arn, ok, managedPrefix+name)
		}
	}
	poller, _ := Managed(managedPrefix + "service-role/AWSLambdaSQSQueueExecutionRole")
	for action, allowed := range map[string]bool{"sqs:ReceiveMessage": true, "sqs:DeleteMessage": true,
		"sqs:SendMessage": false, "logs:PutLogEvents": true} {
		if err := Authorize([]Document{poller}, nil, Request{Action: action, Resource: queue}); (err == nil) != allowed {
			t.Errorf("AWSLambdaSQSQueueExecutionRole, %s: got %v, want allowed %v", action, err, allowed)
		}
	}
	if _, ok := Managed("arn:aws:iam::aws:policy/Imaginary"); ok {
		t.Error("Imaginary: got a policy, want none")
	}
}

func TestTrusts(t *testing.T) {
	for service, want := range map[string]bool{"lambda.amazonaws.com": true, "ec2.amazonaws.com": false} {
		trust := parse(t, statement(`"Action":"sts:AssumeRole","Principal":{"Service":["sqs.amazonaws.com","`+service+`"]}`),
			Trust)
		if got := Trusts(trust, "lambda.amazonaws.com"); got != want {
			t.Errorf("policy for %s: got %v, want %v", service, got, want)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	document, err := Parse([]byte(statement(`"Action":["sqs:SendMessage","sqs:DeleteMessage"],`+
		`"Resource":"arn:aws:sqs:us-east-1:000000000000:*"`)), Identity)
	if err != nil {
		b.Fatal(err)
	}
	documents := []Document{document, document, document}
	request := Request{Caller: session, Role: role, Account: account, Action: "sqs:SendMessage", Resource: queue}
	b.ReportAllocs()
	for b.Loop() {
		if err := Authorize(documents, nil, request); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParse checks that Parse does not panic and that Authorize can evaluate every document.
func FuzzParse(f *testing.F) {
	seeds := []string{
		statement(`"Action":"sqs:*","Resource":"*"`),
		statement(`"NotAction":["s3:*"],"NotResource":["arn:aws:sqs:*"],` +
			`"Condition":{"ForAllValues:StringNotLikeIfExists":{"aws:SourceArn":["a*",1,true]}}`),
		statement(`"Principal":{"AWS":["*",123]},"Action":"sqs:*","Resource":"*"`),
		`{"Statement":[]}`, `[]`, `null`,
	}
	if _, err := Parse([]byte(seeds[0]), Kind(0)); err != nil {
		f.Fatalf("got %v, want a valid seed", err)
	}
	for _, seed := range seeds {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		document, err := Parse(data, Kind(kind%3))
		if err != nil {
			if len(document.Statements) != 0 {
				t.Error("got a document and an error, want one of them")
			}
			return
		}
		if len(document.Statements) == 0 {
			t.Error("got a document without statements")
		}
		request := Request{Role: role, Account: account, Action: "sqs:SendMessage", Resource: queue,
			Context: map[string][]string{"aws:sourcearn": {queue}}}
		var denied *Denied
		if err := Authorize([]Document{document}, []Document{document}, request); err != nil && !errors.As(err, &denied) {
			t.Errorf("Authorize: got %v, want a *Denied", err)
		}
	})
}
