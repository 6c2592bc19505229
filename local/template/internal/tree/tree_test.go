package tree

import (
	"testing"
)

func parse(t *testing.T, r *Report, source string) *Value {
	t.Helper()
	root := Parse(r, []byte(source))
	if root == nil {
		t.Fatalf("got problems %v", r.Problems)
	}
	return root
}

// TestParse_JSON checks the kinds of values: quoted text stays a string, functions have their long form.
func TestParse_JSON(t *testing.T) {
	var r Report
	root := parse(t, &r, "A: 1\nB: \"1\"\nC: [true, x]\nD: !GetAtt Q.Arn\nE: !Sub '${Q}'\n")
	const want = `{"A":1,"B":"1","C":[true,"x"],"D":{"Fn::GetAtt":["Q","Arn"]},"E":{"Fn::Sub":"${Q}"}}`
	if got := root.JSON(); got != want || len(r.Problems) > 0 {
		t.Errorf("got %s, %v, want %s", got, r.Problems, want)
	}
}

// TestReader_Problems checks that each problem has the position and the place of its value.
func TestReader_Problems(t *testing.T) {
	r := Report{File: "t.yaml"}
	p := r.Reader(parse(t, &r, "Count: many\nTags: [{Key: k}]\nother: 1\n"), At("Thing", "Properties"))
	p.Check(Settable("Count Other Tags"))
	p.Require("Name")
	p.Between("Count", 1, 0, 10)
	p.Tags()
	want := "t.yaml:1:1: Thing: Properties: Name is required\n" +
		"t.yaml:1:8: Thing: Properties.Count: must be an integer, not \"many\"\n" +
		"t.yaml:2:8: Thing: Properties.Tags[0]: Value is required\n" +
		"t.yaml:3:1: Thing: Properties.other: unknown property: did you mean Other?"
	if got := r.Problems.Sorted().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
