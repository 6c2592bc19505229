package template_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"fanfare/local/template"
)

// FuzzLoad holds that whatever is loaded, Load neither panics nor fails without a position, and that what it accepts is
// complete.
func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(paths) < 3 {
		f.Fatalf("the seeds are %v, %v; want at least three templates", paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, seed := range []string{
		"", "a: [", "Resources: {A: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt A.Arn}}}",
		"Resources: {Q: {Type: AWS::SQS::Queue}}\nOutputs: {O: {Value: !Sub ['${a}${Q.Arn}', {a: !If [c, !Ref AWS::NoValue, x]}]}}",
		"Conditions: {c: !And [!Condition c, !Equals [!Ref x, 1]]}\nParameters: {x: {Type: CommaDelimitedList, Default: ''}}\nResources: {}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		resolved, err := template.Load("t.yaml", data, template.Options{})
		if err == nil {
			for _, function := range resolved.Functions {
				if function.Name == "" || function.Role == nil || function.Environment == nil || function.Timeout <= 0 {
					t.Errorf("an incomplete function: %+v", function)
				}
			}
			for _, mapping := range resolved.Mappings {
				if mapping.FunctionName == "" || mapping.QueueARN == "" {
					t.Errorf("an incomplete mapping: %+v", mapping)
				}
			}
			for _, warning := range resolved.Warnings {
				if warning.Line < 1 || warning.Message == "" {
					t.Errorf("a warning without position: %+v", warning)
				}
			}
			return
		}
		var problems template.Problems
		if resolved != nil || !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("Load returned %v and %T: %v", resolved, err, err)
		}
		for _, p := range problems {
			if p.File != "t.yaml" || p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Errorf("a problem without position: %#v", p)
			}
		}
	})
}
