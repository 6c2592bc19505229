package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/go-jose/go-jose/v4"
)

// minSecretBytes is the least that RFC 7518, section 3.2, allows for HS256.
const minSecretBytes = 32

// SecretAlgorithms are what a shared secret signs with.
var SecretAlgorithms = []jose.SignatureAlgorithm{jose.HS256}

// Secret is a secret of Secrets Manager that the stack shares with those who issue tokens. The bytes of its text are the
// key of HS256.
type Secret struct {
	Client *secretsmanager.Client
	// ID is the secret's ARN or name.
	ID string
}

// Fetch gets the secret's present version.
func (s Secret) Fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	out, err := s.Client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.ID})
	if err != nil {
		return nil, fmt.Errorf("fetch the shared secret: %w", err)
	}
	value := aws.ToString(out.SecretString)
	if len(value) < minSecretBytes {
		return nil, errors.New("fetch the shared secret: it is shorter than 32 bytes")
	}
	return []jose.JSONWebKey{{Key: []byte(value)}}, nil
}
