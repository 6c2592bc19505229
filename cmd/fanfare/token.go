package main

import (
	"context"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"fanfare/pkg/token"
)

// tokens makes tokens for clients of a stack whose Access is jwt and whose tokens are signed with its own secret. It is
// for trials, and for backends without an issuer. The right to read the secret is the right to make tokens for any
// client.
type tokens struct {
	Secret   string        `required:"" env:"OUTPUT_TokenSecretArn" help:"ARN of the secret: the output TokenSecretArn."`
	Subject  string        `default:"client" help:"Subject of the token (sub)."`
	Publish  bool          `help:"Give the right to publish: the claim scope=publish."`
	For      time.Duration `default:"1h" help:"Time for which the token is valid."`
	Issuer   string        `default:"fanfare" help:"Issuer of the token (iss): the stack's TokenIssuer."`
	Audience string        `default:"fanfare" help:"Audience of the token (aud): the stack's TokenAudience."`
	Try      string        `placeholder:"URL" help:"Print two tokens, with commands that connect to this URL."`
}

// Run prints one token, or with Try a listener's and a publisher's.
func (o tokens) Run(ctx context.Context, t *target) error {
	keys, err := token.Secret{Client: t.secrets, ID: o.Secret}.Fetch(ctx)
	if err != nil {
		return err
	}
	if o.Try == "" {
		text, err := o.sign(keys[0].Key)
		if err == nil {
			fmt.Fprintln(t.out, text)
		}
		return err
	}
	fmt.Fprintf(t.out, "Clients need a token to connect. These two are valid for %v. "+
		"They are sent as sub-protocols, as browsers do it:\n", o.For)
	for _, client := range []struct {
		name    string
		publish bool
	}{{"listener", false}, {"publisher", true}} {
		o.Subject, o.Publish = client.name, client.publish
		text, err := o.sign(keys[0].Key)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "\n  %s\n  npx wscat -c %s -s fanfare.bearer -s %s\n", client.name, o.Try, text)
	}
	return nil
}

func (o tokens) sign(key any) (string, error) {
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, options)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	now := time.Now()
	builder := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: o.Issuer, Audience: jwt.Audience{o.Audience}, Subject: o.Subject,
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(o.For)),
	})
	if o.Publish {
		builder = builder.Claims(map[string]any{"scope": "publish"})
	}
	text, err := builder.Serialize()
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return text, nil
}
