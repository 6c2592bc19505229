package template_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"fanfare/local/template"
)

// FuzzLoad checks that Load does not panic, that every problem has a position, and that every result is complete.
func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) < 3 {
		f.Fatalf("got seeds %v, %v; want at least 3 templates", paths, err)
	}
	for _, path := range append(paths, "../../template.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, seed := range []string{
		"", "a: [", "Resources: {A: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt A.Arn}}}",
		"Resources: {Q: {Type: AWS::SQS::Queue}}\nOutputs: {O: {Value: !Sub ['${a}${Q.Arn}', {a: !If [c, !Ref " +
			"AWS::NoValue, x]}]}}",
		"Conditions: {c: !And [!Condition c, !Equals [!Ref x, 1]]}\nParameters: {x: {Type: CommaDelimitedList, Default: " +
			"''}}\nResources: {}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		resolved, err := template.Load("t.yaml", data, template.Options{})
		if err == nil {
			for _, function := range resolved.Functions {
				if function.Name == "" || function.Role == nil || function.Environment == nil || function.Timeout <= 0 {
					t.Errorf("got an incomplete function: %+v", function)
				}
			}
			for _, mapping := range resolved.Mappings {
				if mapping.FunctionName == "" || mapping.QueueARN == "" {
					t.Errorf("got an incomplete mapping: %+v", mapping)
				}
			}
			for _, warning := range resolved.Warnings {
				if warning.Line < 1 || warning.Message == "" {
					t.Errorf("got a warning without position: %+v", warning)
				}
			}
			return
		}
		var problems template.Problems
		if resolved != nil || !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("got %v and %T: %v, want Problems", resolved, err, err)
		}
		for _, p := range problems {
			if p.File != "t.yaml" || p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Errorf("got a problem without position: %#v", p)
			}
		}
	})
}
