package function_test

import (
	"strings"
	"testing"

	"fanfare/pkg/function"
)

func TestEnvironmentTellsEverythingAtOnce(t *testing.T) {
	variables := map[string]string{"TABLE": "t", "COUNT": "12", "MODE": "keep", "LOW": "0", "WORD": "many", "ODD": "maybe"}
	env := function.Environment{Get: func(name string) string { return variables[name] }}

	if got := env.String("TABLE"); got != "t" {
		t.Errorf("TABLE = %q", got)
	}
	if got := env.Int("COUNT", 1, 20); got != 12 {
		t.Errorf("COUNT = %d", got)
	}
	if got := env.OneOf("MODE", "keep", "disconnect"); got != "keep" {
		t.Errorf("MODE = %q", got)
	}
	if err := env.Err(); err != nil {
		t.Errorf("nothing is wrong yet, but: %v", err)
	}

	env.String("QUEUE")
	env.Int("SECOND", 1, 2)
	env.OneOf("THIRD", "a", "b")
	env.Int("LOW", 1, 20)
	env.Int("WORD", 1, 20)
	env.OneOf("ODD", "keep", "disconnect")
	err := env.Err()
	if err == nil {
		t.Fatal("nothing was said of six mistakes")
	}
	for _, want := range []string{
		"missing environment variables: QUEUE, SECOND, THIRD ",
		`LOW is "0": it has to be a whole number from 1 to 20`,
		`WORD is "many": it has to be a whole number from 1 to 20`,
		`ODD is "maybe": it has to be one of keep, disconnect`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}
