package sam

import (
	"testing"

	"fanfare/local/template/internal/tree"
)

// TestMerge checks the rules of SAM's Globals: objects are merged, lists are appended, other values are replaced. A
// call of a function is a plain value, and Architectures are replaced.
func TestMerge(t *testing.T) {
	for _, test := range []struct{ name, global, own, want string }{
		{"only the global", "{A: 1}", "{}", `{"A":1}`},
		{"only the own", "{}", "{A: 1}", `{"A":1}`},
		{"a scalar is replaced", "{A: 1}", "{A: 2}", `{"A":2}`},
		{"maps are merged, deeply", "{A: {B: {C: 1, D: 2}}}", "{A: {B: {D: 3}, E: 4}}", `{"A":{"B":{"C":1,"D":3},"E":4}}`},
		{"lists are appended", "{A: [1, 2]}", "{A: [2, 3]}", `{"A":[1,2,2,3]}`},
		{"of different kinds the own wins", "{A: [1], B: {C: 1}, D: 1}", "{A: 1, B: [2], D: {E: 1}}",
			`{"A":1,"B":[2],"D":{"E":1}}`},
		{"a function is replaced", "{A: !Ref X, B: {C: 1}}", "{A: {B: 1}, B: !Ref Y}", `{"A":{"B":1},"B":{"Ref":"Y"}}`},
		{"Architectures are replaced", "{Architectures: [arm64], A: {Architectures: [1]}}",
			"{Architectures: [x86_64], A: {Architectures: [2]}}",
			`{"A":{"Architectures":[1,2]},"Architectures":["x86_64"]}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			global := tree.Parse(&tree.Report{}, []byte(test.global))
			own := tree.Parse(&tree.Report{}, []byte(test.own))
			before := global.JSON()
			if got := merge(global, own, true).JSON(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if global.JSON() != before {
				t.Errorf("got changed globals %s", global.JSON())
			}
		})
	}
}
