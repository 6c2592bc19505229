package token

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-jose/go-jose/v4"
)

// minSecretBytes is the minimum of RFC 7518, section 3.2, for HS256.
const minSecretBytes = 32

// SecretAlgorithms are the algorithms of a shared secret.
var SecretAlgorithms = []jose.SignatureAlgorithm{jose.HS256}

// Secret is a secret in Secrets Manager that the stack shares with the issuers of tokens. The bytes of its text are the
// key for HS256.
type Secret struct {
	Client *secretsmanager.Client
	// ID is the secret's ARN or name.
	ID string
}

// Fetch returns the secret's present version. A secret of fewer than 32 bytes is an error.
func (s Secret) Fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	out, err := s.Client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.ID})
	if err != nil {
		return nil, fmt.Errorf("fetch the shared secret: %w", err)
	}
	value := aws.ToString(out.SecretString)
	if len(value) < minSecretBytes {
		return nil, fmt.Errorf("fetch the shared secret: it is shorter than %d bytes", minSecretBytes)
	}
	return []jose.JSONWebKey{{Key: []byte(value)}}, nil
}
