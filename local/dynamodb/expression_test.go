package dynamodb_test

import (
	"net/http"
	"strings"
	"testing"

	"fanfare/local/dynamodb"
)

// sampleItem is the item on which conditions and updates are evaluated.
const sampleItem = `{"pk":{"S":"a"},"s":{"S":"hello"},"n":{"N":"42"},"neg":{"N":"-1.5"},
	"b":{"B":"AQID"},"yes":{"BOOL":true},"nil":{"NULL":true},
	"l":{"L":[{"S":"x"},{"N":"1"},{"M":{"deep":{"L":[{"N":"7"}]}}}]},
	"m":{"M":{"k":{"S":"v"},"n":{"N":"3"},"a.b":{"S":"dot"}}},
	"ss":{"SS":["p","q"]},"ns":{"NS":["1","2.0"]},"bs":{"BS":["AQ=="]},"umlaut":{"S":"äöü𝄞"},"status":{"S":"reserved"}}`

func TestConditions(t *testing.T) {
	e := start(t, dynamodb.Options{})
	table := e.table("")
	e.put(table, sampleItem)
	const failed = "The conditional request failed"
	for _, test := range []struct {
		condition string
		values    string // without the braces
		want      string // "" is a true condition; otherwise a part of the error message
	}{
		{"n = :v", `":v":{"N":"42.0"}`, ""},
		{"n = :v", `":v":{"N":"4.2e1"}`, ""},
		{"n = :v", `":v":{"S":"42"}`, failed},
		{"n <> :v", `":v":{"S":"42"}`, ""},
		{"n < :v", `":v":{"N":"100"}`, ""}, // compared as numbers; as text, 42 > 100
		{"n < :v", `":v":{"S":"zz"}`, failed},
		{"n >= :v", `":v":{"N":"42"}`, ""},
		{"n > :v", `":v":{"N":"42"}`, failed},
		{"n <= :v", `":v":{"N":"41.9"}`, failed},
		{"neg < :v", `":v":{"N":"-1.49"}`, ""},
		{"neg > :v", `":v":{"N":"-15"}`, ""},
		{"neg < :v", `":v":{"N":"0"}`, ""},
		{"s > :v", `":v":{"S":"he"}`, ""},
		{"b < :v", `":v":{"B":"AQME"}`, ""},
		{"absent = :v", `":v":{"N":"1"}`, failed},
		{"absent <> :v", `":v":{"N":"1"}`, ""},
		{"NOT absent = :v", `":v":{"N":"1"}`, ""},
		{"absent < :v", `":v":{"N":"1"}`, failed},
		{":v = n", `":v":{"N":"42"}`, ""},
		{"l[1] = :v", `":v":{"N":"1"}`, ""},
		{"l[2].deep[0] = :v", `":v":{"N":"7"}`, ""},
		{"l[9] = :v", `":v":{"N":"7"}`, failed},
		{"m.k = :v AND m.n = :w", `":v":{"S":"v"},":w":{"N":"3"}`, ""},
		{"ss = :v", `":v":{"SS":["q","p"]}`, ""},
		{"ss = :v", `":v":{"SS":["q"]}`, failed},
		{"ns = :v", `":v":{"NS":["2","1"]}`, ""},
		{"m = :v", `":v":{"M":{"n":{"N":"3"},"k":{"S":"v"},"a.b":{"S":"dot"}}}`, ""},
		{"yes = :v", `":v":{"BOOL":true}`, ""},
		{"n BETWEEN :a AND :b", `":a":{"N":"5"},":b":{"N":"100"}`, ""},
		{"n BETWEEN :a AND :b", `":a":{"N":"43"},":b":{"N":"100"}`, failed},
		{"n BETWEEN :a AND :b AND s = :s", `":a":{"N":"5"},":b":{"N":"100"},":s":{"S":"hello"}`, ""},
		{"n BETWEEN :a AND :b", `":a":{"N":"100"},":b":{"N":"5"}`,
			"The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: " +
				"AttributeValue: {N:100}, upper bound operand: AttributeValue: {N:5}"},
		{"n BETWEEN :a AND :b", `":a":{"N":"1"},":b":{"S":"5"}`, "The BETWEEN operator requires same data type for lower " +
			"and upper bounds; lower bound operand: AttributeValue: {N:1}, upper bound operand: AttributeValue: {S:5}"},
		{"s IN (:a, :b)", `":a":{"S":"x"},":b":{"S":"hello"}`, ""},
		{"s IN (:a)", `":a":{"S":"x"}`, failed},
		{"attribute_exists(s)", "", ""},
		{"attribute_exists(m.k) AND attribute_not_exists(m.z)", "", ""},
		{"attribute_not_exists(s)", "", failed},
		{"attribute_exists(nil)", "", ""},
		{"attribute_type(n, :t)", `":t":{"S":"N"}`, ""},
		{"attribute_type(nil, :t)", `":t":{"S":"NULL"}`, ""},
		{"attribute_type(ss, :t)", `":t":{"S":"S"}`, failed},
		{"attribute_type(n, :t)", `":t":{"S":"X"}`, "Invalid attribute type name found; type: X, valid types: {"},
		{"begins_with(s, :v)", `":v":{"S":"hel"}`, ""},
		{"begins_with(s, :v)", `":v":{"S":"ell"}`, failed},
		{"begins_with(b, :v)", `":v":{"B":"AQ=="}`, ""},
		{"begins_with(n, :v)", `":v":{"S":"4"}`, failed},
		{"begins_with(s, :v)", `":v":{"N":"4"}`, "Incorrect operand type for operator or function; operator or function: " +
			"begins_with, operand type: N"},
		{"contains(s, :v)", `":v":{"S":"ell"}`, ""},
		{"contains(ss, :v)", `":v":{"S":"q"}`, ""},
		{"contains(ss, :v)", `":v":{"S":"z"}`, failed},
		{"contains(ns, :v)", `":v":{"N":"2"}`, ""},
		{"contains(l, :v)", `":v":{"N":"1"}`, ""},
		{"contains(l, :v)", `":v":{"S":"1"}`, failed},
		{"contains(n, :v)", `":v":{"S":"4"}`, failed},
		{"size(s) = :v", `":v":{"N":"5"}`, ""},
		{"size(umlaut) = :v", `":v":{"N":"5"}`, ""},
		{"size(b) = :v", `":v":{"N":"3"}`, ""},
		{"size(l) = :v AND size(m) = :v", `":v":{"N":"3"}`, ""},
		{"size(ss) > :v", `":v":{"N":"1"}`, ""},
		{"size(n) > :v", `":v":{"N":"0"}`, failed},
		{"size(absent) < :v", `":v":{"N":"9"}`, failed},
		{"n = :x OR s = :y AND yes = :z", `":x":{"N":"42"},":y":{"S":"no"},":z":{"BOOL":false}`, ""}, // AND before OR
		{"(n = :x OR s = :y) AND yes = :z", `":x":{"N":"42"},":y":{"S":"no"},":z":{"BOOL":false}`, failed},
		{"NOT n = :x OR s = :y", `":x":{"N":"42"},":y":{"S":"hello"}`, ""}, // NOT before AND and OR
		{"not (n = :x and s = :y)", `":x":{"N":"42"},":y":{"S":"hello"}`, failed},
		{"(n) = (:x)", `":x":{"N":"42"}`, ""},
		{"((n = :x))", `":x":{"N":"42"}`, "The expression has redundant parentheses;"},
		{"(n = :x) AND ((s = :y) OR (s = :x))", `":x":{"N":"42"},":y":{"S":"hello"}`, ""},
		{"status = :x", `":x":{"N":"42"}`, "Attribute name is a reserved keyword; reserved keyword: status"},
		{"m.Value = :x", `":x":{"N":"42"}`, "Attribute name is a reserved keyword; reserved keyword: Value"},
		{"n = :y", `":x":{"N":"42"}`, "An expression attribute value used in expression is not defined; attribute value: :y"},
		{"#n = :x", `":x":{"N":"42"}`, "An expression attribute name used in the document path is not defined; attribute " +
			"name: #n"},
		{"n = n", "", "The first operand must be distinct from the remaining operands for this operator or function; " +
			"operator: =, first operand: [n]"},
		{"l[1] = l[1]", "", "The first operand must be distinct from the remaining operands for this operator or " +
			"function; operator: =, first operand: [l, [1]]"},
		{"size(n)", "", "The function is not allowed to be used this way in an expression; function: size"},
		{"contains(s, :v) = :v", `":v":{"S":"a"}`, "The function is not allowed to be used this way in an expression; " +
			"function: contains"},
		{"lower(s) = :v", `":v":{"S":"a"}`, "Invalid function name; function: lower"},
		{"attribute_exists(:v)", `":v":{"S":"a"}`, "Operator or function requires a document path; operator or function: " +
			"attribute_exists"},
		{"begins_with(s)", "", "Incorrect number of operands for operator or function; operator or function: begins_with, " +
			"number of operands: 1"},
		{"n", "", `Syntax error; token: "<EOF>", near: "n"`},
		{"n = :v AND", `":v":{"N":"42"}`, `Syntax error; token: "<EOF>", near: "AND"`},
		{"_n = :v", `":v":{"N":"42"}`, `Syntax error; token: "_", near: "_n"`},
		{"n == :v", `":v":{"N":"42"}`, `Syntax error; token: "=", near: "== :v"`},
		{"n = 42", "", `Syntax error; token: "42", near: "= 42"`},
		{"n = :v :v", `":v":{"N":"42"}`, `Syntax error; token: ":v", near: ":v :v"`},
		{"", "", "The expression can not be empty;"},
	} {
		t.Run(test.condition, func(t *testing.T) {
			e.t = t
			body := `{"TableName":"` + table + `","Key":{"pk":{"S":"a"}},"ConditionExpression":"` + test.condition + `"`
			if test.values != "" {
				body += `,"ExpressionAttributeValues":{` + test.values + `}`
			}
			check(t, e.send("UpdateItem", body+"}"), test.want)
		})
	}
}

// check compares an answer with the error message want; "" is success.
func check(t *testing.T, a answer, want string) {
	t.Helper()
	switch {
	case want == "" && a.status != http.StatusOK:
		t.Errorf("got %s: %s, want success", a.code(), a.message())
	case want != "" && !strings.Contains(a.message(), want):
		t.Errorf("got %d %s: %s, want %s", a.status, a.code(), a.message(), want)
	}
}

func TestUpdates(t *testing.T) {
	e := start(t, dynamodb.Options{})
	table := e.table("")
	const before = `{"pk":{"S":"a"},"n":{"N":"10"},"s":{"S":"x"},"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"}]},` +
		`"m":{"M":{"k":{"N":"1"}}},"ss":{"SS":["a","b"]}}`
	const documentPath = "The document path provided in the update expression is invalid for update"
	const operandType = "An operand in the update expression has an incorrect data type"
	for _, test := range []struct {
		update string
		values string
		error  string
		want   string // UPDATED_NEW
	}{
		{"SET n = :v", `":v":{"N":"1"}`, "", `{"n":{"N":"1"}}`},
		{"SET n = n + :v", `":v":{"N":"2.5"}`, "", `{"n":{"N":"12.5"}}`},
		{"SET n = :v - n", `":v":{"N":"2.5"}`, "", `{"n":{"N":"-7.5"}}`},
		{"set n = n - :v", `":v":{"N":"10"}`, "", `{"n":{"N":"0"}}`},
		{"SET n = if_not_exists(n, :v)", `":v":{"N":"1"}`, "", `{"n":{"N":"10"}}`},
		{"SET z = if_not_exists(z, :v) + :v", `":v":{"N":"1"}`, "", `{"z":{"N":"2"}}`},
		{"SET l = list_append(l, :v)", `":v":{"L":[{"S":"e"}]}`, "", `{"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"S":"e"}]}}`},
		{"SET l = list_append(:v, l)", `":v":{"L":[{"S":"e"}]}`, "", `{"l":{"L":[{"S":"e"},{"N":"0"},{"N":"1"},{"N":"2"}]}}`},
		{"SET l = list_append(if_not_exists(nope, :v), l)", `":v":{"L":[]}`, "",
			`{"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"}]}}`},
		{"SET l[1] = :v", `":v":{"S":"e"}`, "", `{"l":{"L":[{"S":"e"}]}}`},
		{"SET m.k = :v, m.j = n", `":v":{"S":"e"}`, "", `{"m":{"M":{"k":{"S":"e"},"j":{"N":"10"}}}}`},
		{"SET n = s, s = n", "", "", `{"n":{"S":"x"},"s":{"N":"10"}}`}, // evaluated on the old item
		{"REMOVE n", "", "", ``},
		{"REMOVE nope", "", "", ``},
		{"REMOVE l[0], l[2]", "", "", `{"l":{"L":[{"N":"1"}]}}`},
		{"REMOVE l[9]", "", "", ``},
		{"ADD n :v", `":v":{"N":"-3"}`, "", `{"n":{"N":"7"}}`},
		{"ADD z :v", `":v":{"N":"3"}`, "", `{"z":{"N":"3"}}`},
		{"ADD ss :v", `":v":{"SS":["c"]}`, "", `{"ss":{"SS":["a","b","c"]}}`},
		{"ADD m.k :v", `":v":{"N":"3"}`, "", `{"m":{"M":{"k":{"N":"4"}}}}`},
		{"DELETE ss :v", `":v":{"SS":["a","z"]}`, "", `{"ss":{"SS":["b"]}}`},
		{"DELETE ss :v", `":v":{"SS":["a","b"]}`, "", ``},
		{"DELETE nope :v", `":v":{"SS":["a"]}`, "", ``},
		{"SET n = :v REMOVE s ADD z :v", `":v":{"N":"1"}`, "", `{"n":{"N":"1"},"z":{"N":"1"}}`},
		{"SET nope.k = :v", `":v":{"N":"1"}`, documentPath, ""},
		{"SET n = :v, l[1] = :v, m.k = :v, nope.k = :v", `":v":{"N":"77"}`, documentPath, ""},
		{"SET s.k = :v", `":v":{"N":"1"}`, documentPath, ""},
		{"SET m[0] = :v", `":v":{"N":"1"}`, documentPath, ""},
		{"REMOVE nope.k", "", documentPath, ""},
		{"SET n = s + :v", `":v":{"N":"1"}`, operandType, ""},
		{"SET n = n + :v", `":v":{"S":"1"}`, "Incorrect operand type for operator or function; operator or function: +, " +
			"operand type: S", ""},
		{"SET n = nope + :v", `":v":{"N":"1"}`, "The provided expression refers to an attribute that does not exist in " +
			"the item", ""},
		{"ADD s :v", `":v":{"N":"1"}`, operandType, ""},
		{"ADD n :v", `":v":{"S":"1"}`, "Incorrect operand type for operator or function; operator: ADD, operand " +
			"type: STRING", ""},
		{"DELETE n :v", `":v":{"N":"1"}`, "Incorrect operand type for operator or function; operator: DELETE, operand " +
			"type: NUMBER", ""},
		{"SET n = :v SET s = :v", `":v":{"N":"1"}`, `The \"SET\" section can only be used once in an update expression;`, ""},
		{"SET n = :v, n = :v", `":v":{"N":"1"}`, "Two document paths overlap with each other; must remove or rewrite one " +
			"of these paths; path one: [n], path two: [n]", ""},
		{"SET m = :v, m.k = :v", `":v":{"N":"1"}`, "Two document paths overlap with each other; must remove or rewrite " +
			"one of these paths; path one: [m], path two: [m, k]", ""},
		{"SET m.k = :v REMOVE m[0]", `":v":{"N":"1"}`, "Two document paths conflict with each other; must remove or " +
			"rewrite one of these paths; path one: [m, k], path two: [m, [0]]", ""},
		{"SET pk = :v", `":v":{"S":"1"}`, "Cannot update attribute pk. This attribute is part of the key", ""},
		{"SET n = :v,", `":v":{"S":"1"}`, `Syntax error; token: "<EOF>", near: ","`, ""},
		{"n = :v", `":v":{"S":"1"}`, `Syntax error; token: "n", near: "n ="`, ""},
		{"SET n = :v + :v + :v", `":v":{"N":"1"}`, `Syntax error; token: "+", near: ":v + :v"`, ""},
		{"SET n = if_not_exists(:v, n)", `":v":{"N":"1"}`, "Operator or function requires a document path; operator or " +
			"function: if_not_exists", ""},
		{"SET l = list_append(l, :v)", `":v":{"N":"1"}`, "Incorrect operand type for operator or function; operator or " +
			"function: list_append, operand type: N", ""},
		{"SET n = n + :v", `":v":{"N":"1e100"}`, "38 ", ""},
	} {
		t.Run(test.update, func(t *testing.T) {
			e.t = t
			if test.update == "SET l[1] = :v" {
				skipElsewhere(t, "dynalite's and moto's tests, which ran against AWS, return only the updated element")
			}
			e.put(table, before)
			body := `{"TableName":"` + table + `","Key":{"pk":{"S":"a"}},"ReturnValues":"UPDATED_NEW","UpdateExpression":"` +
				test.update + `"`
			if test.values != "" {
				body += `,"ExpressionAttributeValues":{` + test.values + `}`
			}
			a := e.send("UpdateItem", body+"}")
			check(t, a, strings.ReplaceAll(test.error, `\"`, `"`))
			if test.error != "" {
				// A projection reads the attributes, not the stored JSON.
				got := e.must("GetItem", `{"TableName":"`+table+`","Key":{"pk":{"S":"a"}},"ProjectionExpression":"pk, n, s, l, `+
					`m, ss"}`)
				if got := encode(got["Item"]); !sameJSON(t, got, before) {
					t.Errorf("item after a refused update: got %s", got)
				}
				return
			}
			got := ""
			if a.body["Attributes"] != nil {
				got = encode(a.body["Attributes"])
			}
			if !sameJSON(t, got, test.want) {
				t.Errorf("UPDATED_NEW: got %s, want %s", got, test.want)
			}
		})
	}
}

// TestUpdates_Lists checks the whole item, including elements that were moved.
func TestUpdates_Lists(t *testing.T) {
	e := start(t, dynamodb.Options{})
	table := e.table("")
	const before = `{"pk":{"S":"a"},"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"L":[{"S":"x"},{"S":"y"}]}]}}`
	const values = `":v":{"S":"v"},":w":{"S":"w"}`
	for _, test := range []struct{ update, want string }{
		{"REMOVE l[0], l[2]", `[{"N":"1"},{"L":[{"S":"x"},{"S":"y"}]}]`},
		{"REMOVE l[3][0], l[0], l[1]", `[{"N":"2"},{"L":[{"S":"y"}]}]`},
		{"SET l[9] = :v, l[7] = :w", `[{"N":"0"},{"N":"1"},{"N":"2"},{"L":[{"S":"x"},{"S":"y"}]},{"S":"w"},{"S":"v"}]`},
		{"SET l[0] = :v, l[3][1] = :w REMOVE l[1]", `[{"S":"v"},{"N":"2"},{"L":[{"S":"x"},{"S":"w"}]}]`},
		{"SET l[0] = l[1], l[1] = l[0]", `[{"N":"1"},{"N":"0"},{"N":"2"},{"L":[{"S":"x"},{"S":"y"}]}]`},
	} {
		t.Run(test.update, func(t *testing.T) {
			e.t = t
			e.put(table, before)
			body := `{"TableName":"` + table + `","Key":{"pk":{"S":"a"}},"ReturnValues":"ALL_NEW","UpdateExpression":"` +
				test.update + `"`
			if strings.Contains(test.update, ":") {
				body += `,"ExpressionAttributeValues":{` + values + `}`
			}
			got := encode(e.must("UpdateItem", body+"}")["Attributes"])
			if !sameJSON(t, got, `{"pk":{"S":"a"},"l":{"L":`+test.want+`}}`) {
				t.Errorf("got %s, want the list %s", got, test.want)
			}
		})
	}
}

func TestProjections(t *testing.T) {
	e := start(t, dynamodb.Options{})
	table := e.table("")
	e.put(table, sampleItem)
	for _, test := range []struct{ projection, want string }{
		{"n", `{"n":{"N":"42"}}`},
		{"yes, pk", `{"pk":{"S":"a"},"yes":{"BOOL":true}}`},
		{"m", `{"m":{"M":{"k":{"S":"v"},"n":{"N":"3"},"a.b":{"S":"dot"}}}}`},
		{"m.k, m.absent", `{"m":{"M":{"k":{"S":"v"}}}}`},
		{"#m.#dot", `{"m":{"M":{"a.b":{"S":"dot"}}}}`},
		{"l[1], l[2].deep[0]", `{"l":{"L":[{"N":"1"},{"M":{"deep":{"L":[{"N":"7"}]}}}]}}`},
		{"l[2], l[0]", `{"l":{"L":[{"S":"x"},{"M":{"deep":{"L":[{"N":"7"}]}}}]}}`},
		{"l[9], absent, s.k, m[0]", `{}`},
	} {
		t.Run(test.projection, func(t *testing.T) {
			e.t = t
			body := `{"TableName":"` + table + `","Key":{"pk":{"S":"a"}},"ProjectionExpression":"` + test.projection + `"`
			if strings.Contains(test.projection, "#") {
				body += `,"ExpressionAttributeNames":{"#m":"m","#dot":"a.b"}`
			}
			if got := encode(e.must("GetItem", body+"}")["Item"]); !sameJSON(t, got, test.want) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
