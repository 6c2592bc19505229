package function_test

import (
	"testing"

	"fanfare/pkg/function"
)

func TestEnvironment_Err(t *testing.T) {
	variables := map[string]string{"TABLE": "t", "COUNT": "12", "MODE": "keep", "LOW": "0", "WORD": "many", "ODD": "maybe",
		"SPACE": " fanfare"}
	env := function.Environment{Get: func(name string) string { return variables[name] }}

	if got := env.String("TABLE"); got != "t" {
		t.Errorf("TABLE: got %q, want t", got)
	}
	if got := env.Int("COUNT", 1, 20); got != 12 {
		t.Errorf("COUNT: got %d, want 12", got)
	}
	if got := env.OneOf("MODE", "keep", "disconnect"); got != "keep" {
		t.Errorf("MODE: got %q, want keep", got)
	}
	if err := env.Err(); err != nil {
		t.Errorf("no mistakes: got %v, want no error", err)
	}

	env.String("QUEUE")
	if got := env.Int("SECOND", 1, 2); got != 1 {
		t.Errorf("SECOND: got %d, want the least, 1", got)
	}
	env.OneOf("THIRD", "a", "b")
	env.Int("LOW", 1, 20)
	env.Int("WORD", 1, 20)
	env.OneOf("ODD", "keep", "disconnect")
	env.String("SPACE")
	const want = "missing environment variables: QUEUE, SECOND, THIRD\n" +
		`LOW is "0", not a whole number from 1 to 20` + "\n" +
		`WORD is "many", not a whole number from 1 to 20` + "\n" +
		`ODD is "maybe", not one of keep, disconnect` + "\n" +
		`SPACE is " fanfare", with spaces at its ends`
	if err := env.Err(); err == nil || err.Error() != want {
		t.Errorf("seven mistakes: got\n%v\nwant\n%s", err, want)
	}
}
