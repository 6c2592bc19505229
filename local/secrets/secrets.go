package secrets

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"slices"
	"strings"

	"fanfare/local/awsapi"
	"fanfare/local/clock"
)

// TargetPrefix is the beginning of the header X-Amz-Target, before the operation.
const TargetPrefix = "secretsmanager."

// maxRequest is the largest body of a request, in bytes.
const maxRequest = 64 << 10

// Options configure a server. The zero value is ready for use.
type Options struct {
	Clock *clock.Clock // the clock of creation dates; nil is the machine's clock
	Log   *slog.Logger // receives refused requests; nil discards them

	// Authorize decides whether an access key may perform an action, "secretsmanager:GetSecretValue", on the ARN of a
	// secret. The caller gets the text of the error. It is called concurrently. nil allows everything.
	Authorize awsapi.Authorizer
}

// Secret is a secret with its only version.
type Secret struct {
	Name, ARN string
	// Value is the SecretString. An empty value is none.
	Value string

	version string
	created float64 // epoch seconds
}

// Server is the Secrets Manager of one account and Region. It is an http.Handler and safe for concurrent use.
type Server struct {
	options Options
	secrets []Secret
}

// New returns a server with the secrets.
func New(options Options, secrets ...Secret) *Server {
	options.Log = cmp.Or(options.Log, slog.New(slog.DiscardHandler))
	s := &Server{options: options, secrets: slices.Clone(secrets)}
	for i := range s.secrets {
		s.secrets[i].version = rand.Text() + rand.Text()[:6] // 32 characters
		s.secrets[i].created = float64(options.Clock.Now().UnixMilli()) / 1000
	}
	return s
}

// Kinds of characters of a generated secret.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
const (
	Lowercase   = "abcdefghijklmnopqrstuvwxyz"
	Uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	Numbers     = "0123456789"
	Punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

// Generate returns a random value of a length in characters. characters is ASCII and must not be empty.
func Generate(length int, characters string) (string, error) {
	if characters == "" {
		return "", errors.New("generate a secret: every character is excluded")
	}
	value := make([]byte, length)
	for i := range value {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(characters))))
		if err != nil {
			return "", fmt.Errorf("generate a secret: %w", err)
		}
		value[i] = characters[n.Int64()]
	}
	return string(value), nil
}

// failure is an error response.
type failure struct{ kind, message string }

// ServeHTTP answers a request. The request must have a signature, for its access key. The signature is not verified.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The body is read to its end first, because a client that still writes may lose the response otherwise.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	status, answer := http.StatusBadRequest, any(failure{"InvalidRequestException", "the request cannot be read"})
	if err == nil {
		status, answer = s.serve(r, body)
	}
	encoded, err := json.Marshal(answer)
	if err != nil {
		panic(err) // maps and lists of strings and numbers can always be encoded
	}
	if f, ok := answer.(failure); ok {
		s.options.Log.Debug("secrets", "target", r.Header.Get("X-Amz-Target"), "error", f.kind, "message", f.message)
		encoded = awsapi.ErrorBody(f.kind, "Message", f.message)
	}
	w.Header().Set("X-Amzn-Requestid", awsapi.NewUUID())
	awsapi.WriteJSON(w, awsapi.JSON11, status, encoded)
}

// serve answers GetSecretValue.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (s *Server) serve(r *http.Request, body []byte) (int, any) {
	refuse := func(kind, format string, args ...any) (int, any) {
		return http.StatusBadRequest, failure{kind, fmt.Sprintf(format, args...)}
	}
	if target := r.Header.Get("X-Amz-Target"); target != TargetPrefix+"GetSecretValue" || r.Method != http.MethodPost {
		return refuse("UnknownOperationException",
			"operation %s %q is not emulated, only GetSecretValue is", r.Method, target)
	}
	accessKey := awsapi.AccessKeyID(r.Header.Get("Authorization"))
	if accessKey == "" {
		return refuse("MissingAuthenticationTokenException", "Request is missing Authentication Token")
	}
	var request struct {
		SecretID     string `json:"SecretId"`
		VersionID    string `json:"VersionId"`
		VersionStage string `json:"VersionStage"`
	}
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return refuse("SerializationException", "%v", err)
	}
	if request.SecretID == "" {
		return refuse("InvalidParameterException", "You must provide a SecretId.")
	}
	i := slices.IndexFunc(s.secrets, func(secret Secret) bool { return secret.hasID(request.SecretID) })
	resource := request.SecretID
	if i >= 0 {
		resource = s.secrets[i].ARN
	}
	const action = "secretsmanager:GetSecretValue"
	if err := s.options.Authorize.Check(accessKey, action, resource); err != nil {
		return refuse("AccessDeniedException", "%v", err)
	}
	switch {
	case i < 0 || s.secrets[i].Value == "":
		return refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	case request.VersionStage != "" && request.VersionStage != current,
		request.VersionID != "" && request.VersionID != s.secrets[i].version:
		return refuse("ResourceNotFoundException",
			"Secrets Manager can't find the specified secret value for staging label or version: "+
				"only %s exists here", current)
	}
	secret := s.secrets[i]
	return http.StatusOK, map[string]any{
		"ARN": secret.ARN, "Name": secret.Name, "SecretString": secret.Value, "CreatedDate": secret.created,
		"VersionId": secret.version, "VersionStages": []string{current},
	}
}

// current is the staging label of the current version.
const current = "AWSCURRENT"

// hasID reports whether an id is that of the secret: its name, its ARN, or its ARN without the random characters.
func (s Secret) hasID(id string) bool {
	partial, _, _ := strings.Cut(s.ARN, ":secret:")
	return id == s.Name || id == s.ARN || id == partial+":secret:"+s.Name
}
