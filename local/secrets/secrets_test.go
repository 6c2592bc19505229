package secrets_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"fanfare/local/secrets"
)

const arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:folder/key-abcdef"

func client(t *testing.T, options secrets.Options, all ...secrets.Secret) *secretsmanager.Client {
	t.Helper()
	server := httptest.NewServer(secrets.New(options, all...))
	t.Cleanup(server.Close)
	return secretsmanager.New(secretsmanager.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", ""),
	})
}

func TestGetSecretValue(t *testing.T) {
	c := client(t, secrets.Options{}, secrets.Secret{Name: "other", ARN: arn[:len(arn)-1], Value: "y"},
		secrets.Secret{Name: "folder/key", ARN: arn, Value: "x"})
	for _, id := range []string{"folder/key", arn, strings.TrimSuffix(arn, "-abcdef")} {
		out, err := c.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &id})
		if err != nil {
			t.Fatal(err)
		}
		if *out.SecretString != "x" || *out.Name != "folder/key" || *out.ARN != arn || len(*out.VersionId) != 32 ||
			out.VersionStages[0] != "AWSCURRENT" || out.CreatedDate.IsZero() {
			t.Errorf("%s: got %+v, want the secret folder/key", id, out)
		}
	}
}

func TestServer_Refusals(t *testing.T) {
	denied := secrets.Options{Authorize: func(accessKeyID, action, resource string) error {
		if accessKeyID != "AKID" || action != "secretsmanager:GetSecretValue" || resource != arn {
			t.Errorf("got %s, %s, %s, want AKID, secretsmanager:GetSecretValue, %s", accessKeyID, action, resource, arn)
		}
		return errors.New("not you")
	}}
	secret := secrets.Secret{Name: "folder/key", ARN: arn, Value: "x"}
	get := func(c *secretsmanager.Client, in secretsmanager.GetSecretValueInput) error {
		_, err := c.GetSecretValue(t.Context(), &in)
		return err
	}
	c := client(t, secrets.Options{}, secret, secrets.Secret{Name: "empty", ARN: arn + "x"})
	_, other := c.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String(arn)})
	for name, test := range map[string]struct {
		err        error
		code, text string
	}{
		"another secret": {get(c, secretsmanager.GetSecretValueInput{SecretId: aws.String("nowhere")}),
			"ResourceNotFoundException", "can't find"},
		"no value": {get(c, secretsmanager.GetSecretValueInput{SecretId: aws.String("empty")}),
			"ResourceNotFoundException", "can't find"},
		"another stage": {get(c,
			secretsmanager.GetSecretValueInput{SecretId: aws.String(arn), VersionStage: aws.String("AWSPREVIOUS")}),
			"ResourceNotFoundException", "only AWSCURRENT"},
		"another version": {get(c,
			secretsmanager.GetSecretValueInput{SecretId: aws.String(arn), VersionId: aws.String(strings.Repeat("0", 32))}),
			"ResourceNotFoundException", "version"},
		"not allowed": {get(client(t, denied, secret), secretsmanager.GetSecretValueInput{SecretId: aws.String(arn)}),
			"AccessDeniedException", "not you"},
		"another operation": {other, "UnknownOperationException", "DescribeSecret"},
	} {
		var failure smithy.APIError
		if !errors.As(test.err, &failure) || failure.ErrorCode() != test.code ||
			!strings.Contains(failure.ErrorMessage(), test.text) {
			t.Errorf("%s: got %v, want %s with %q", name, test.err, test.code, test.text)
		}
	}
}

func TestGenerate(t *testing.T) {
	value, err := secrets.Generate(64, "ab")
	if err != nil || len(value) != 64 || strings.Trim(value, "ab") != "" || !strings.Contains(value, "a") ||
		!strings.Contains(value, "b") {
		t.Errorf("got %q, %v, want 64 of a and b", value, err)
	}
	if _, err := secrets.Generate(1, ""); err == nil {
		t.Error("got no error without characters")
	}
}
