// Token makes tokens for clients of a stack whose Access is jwt and whose tokens are signed with its own secret.
//
//	go run ./token --secret <TokenSecretArn> --subject alice --publish
//
// It is for trying things out and for backends without an issuer of their own. Whoever may read the secret may make
// tokens for anybody.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"fanfare/pkg/token"
)

type options struct {
	Secret   string        `required:"" env:"OUTPUT_TokenSecretArn" help:"The stack's secret, its output TokenSecretArn."`
	Subject  string        `default:"somebody" help:"Who the token is for: its sub."`
	Publish  bool          `help:"Give the right to publish, by the claim scope=publish."`
	For      time.Duration `default:"1h" help:"How long it is valid."`
	Issuer   string        `default:"fanfare" help:"Its iss; the stack's TokenIssuer."`
	Audience string        `default:"fanfare" help:"Its aud; the stack's TokenAudience."`
	Try      string        `placeholder:"URL" help:"Print a listener's and a publisher's token, with commands that connect to this WebSocket URL."`
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("token"), kong.Description("Makes tokens for clients of a stack, signed with the stack's own secret."), kong.UsageOnError())
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "token:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	keys, err := token.Secret{Client: secretsmanager.NewFromConfig(cfg), ID: o.Secret}.Fetch(ctx)
	if err != nil {
		return err
	}
	if o.Try == "" {
		text, err := sign(keys[0].Key, o)
		if err == nil {
			fmt.Println(text)
		}
		return err
	}
	fmt.Printf("Only clients with a token connect. These two are valid for %v; they go as sub-protocols, as browsers send them:\n", o.For)
	for _, client := range []struct {
		name    string
		publish bool
	}{{"listener", false}, {"publisher", true}} {
		o.Subject, o.Publish = client.name, client.publish
		text, err := sign(keys[0].Key, o)
		if err != nil {
			return err
		}
		fmt.Printf("\n  %s\n  npx wscat -c %s -s fanfare.bearer -s %s\n", client.name, o.Try, text)
	}
	return nil
}

func sign(key any, o options) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
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
