package stack

import (
	"strings"

	"fanfare/local/secrets"
	"fanfare/local/template"
)

// newSecrets returns Secrets Manager with the secrets of the stack. Generated values differ in every run.
func newSecrets(o Options, ids *identities, declared []template.Secret) (*secrets.Server, error) {
	var all []secrets.Secret
	for _, s := range declared {
		value := s.Value
		if s.Generate != nil {
			var err error
			if value, err = secrets.Generate(s.Generate.Length, characters(*s.Generate)); err != nil {
				return nil, at(s.Source, err)
			}
		}
		all = append(all, secrets.Secret{Name: s.Name, ARN: s.ARN, Value: value})
	}
	return secrets.New(secrets.Options{Clock: o.Clock, Log: o.Log, Authorize: ids.authorize}, all...), nil
}

// characters returns the characters that a generated secret may have.
func characters(g template.GeneratedSecret) string {
	var all strings.Builder
	for _, kind := range []struct {
		characters string
		excluded   bool
	}{
		{secrets.Lowercase, g.ExcludeLowercase}, {secrets.Uppercase, g.ExcludeUppercase},
		{secrets.Numbers, g.ExcludeNumbers}, {secrets.Punctuation, g.ExcludePunctuation},
	} {
		if !kind.excluded {
			all.WriteString(kind.characters)
		}
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(g.ExcludeCharacters, r) {
			return -1
		}
		return r
	}, all.String())
}
