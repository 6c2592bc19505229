package template_test

import (
	"testing"

	"fanfare/local/template"
)

// TestGlobals_Ignored checks that a resource can ignore some or all Globals.
func TestGlobals_Ignored(t *testing.T) {
	for ignored, want := range map[string][2]int{"'*'": {128, 3}, "[MemorySize]": {128, 9}, "[]": {512, 9}} {
		resolved, err := template.Load("t.yaml", []byte(`
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Timeout: 9, MemorySize: 512}}
Resources:
  Fn:
    Type: AWS::Serverless::Function
    IgnoreGlobals: `+ignored+`
    Properties: {Runtime: provided.al2023, Handler: bootstrap, CodeUri: fn}
`), template.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if f := resolved.Functions[0]; f.MemoryMB != want[0] || int(f.Timeout.Seconds()) != want[1] {
			t.Errorf("IgnoreGlobals %s: got %d MB and %v, want %v", ignored, f.MemoryMB, f.Timeout, want)
		}
	}
}
