package cfn

import (
	"strings"
	"testing"

	"fanfare/local/template/internal/tree"
)

// evaluate evaluates a template whose only resource type is Test::Thing.
func evaluate(t *testing.T, source string) (*Evaluator, []Output) {
	t.Helper()
	thing := &Type{
		Schema: tree.Settable("Name Of"), NameProperty: "Name", NameLimit: 20, Ref: "{name}",
		Attributes: map[string]string{"Arn": "arn:{region}:{name}"},
	}
	r := &tree.Report{File: "t.yaml"}
	e := NewEvaluator(r, tree.Parse(r, []byte(source)), Options{StackName: "s", Region: "r"}, func(name string) *Type {
		if name == "Test::Thing" {
			return thing
		}
		return nil
	})
	e.ReadSections()
	e.CheckTypes()
	e.CheckReferences()
	for _, resource := range e.Resources() {
		e.ResolveResource(resource)
	}
	e.CheckCycles()
	return e, e.ReadOutputs()
}

// TestEvaluator_Registry checks names, references and dependencies of a resource type that only the registry knows.
func TestEvaluator_Registry(t *testing.T) {
	e, outputs := evaluate(t, `
Resources:
  A: {Type: Test::Thing, Properties: {Name: a}}
  B: {Type: Test::Thing, Properties: {Of: !GetAtt A.Arn}}
  C: {Type: Test::Thing, DependsOn: B}
Outputs:
  Ref: {Value: !Sub "${A} ${B}"}
  Arn: {Value: !GetAtt A.Arn}
`)
	if len(e.Problems) > 0 {
		t.Fatalf("got problems %v, want none", e.Problems)
	}
	if len(outputs) != 2 || outputs[0].Value != "a s-B" || outputs[1].Value != "arn:r:a" {
		t.Errorf("got outputs %+v, want a s-B and arn:r:a", outputs)
	}
	for _, r := range e.Resources() {
		want := map[string]int{"A": 0, "B": 1, "C": 2}[r.ID]
		if got := e.Dependencies(r); len(got) != want {
			t.Errorf("%s: got dependencies %v, want %d", r.ID, got, want)
		}
	}
}

func TestEvaluator_Problems(t *testing.T) {
	for _, test := range []struct{ name, resources, want string }{
		{"unknown type", "A: {Type: Test::Other}", "A: Type: resources of type Test::Other are not emulated"},
		{"unknown property", "A: {Type: Test::Thing, Properties: {Size: 1}}", "A: Properties.Size: unknown property"},
		{"unknown attribute", "A: {Type: Test::Thing, Properties: {Of: !GetAtt B.X}}\n  B: {Type: Test::Thing}",
			`A: Properties.Of: B, of type Test::Thing, has no attribute "X"`},
		{"cycle", "A: {Type: Test::Thing, DependsOn: B}\n  B: {Type: Test::Thing, DependsOn: A}",
			"A: circular dependency between resources: A -> B -> A"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, _ := evaluate(t, "Resources:\n  "+test.resources+"\n")
			if len(e.Problems) != 1 || !strings.Contains(e.Problems.Error(), test.want) {
				t.Errorf("got %v, want %q", e.Problems, test.want)
			}
		})
	}
}
