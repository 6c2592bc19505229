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

// TargetPrefix begins the header X-Amz-Target, before the operation.
const TargetPrefix = "secretsmanager."

// maxRequest is the largest request that is read.
const maxRequest = 64 << 10

// Options say what a server is connected to. The zero value is ready for use.
type Options struct {
	Clock *clock.Clock // of creation dates; nil is the machine's
	Log   *slog.Logger // nil discards

	// Authorize decides whether an access key may do an action ("secretsmanager:GetSecretValue") on a secret's ARN. nil
	// allows everything. Its error's text tells the caller why not. It may be called concurrently.
	Authorize awsapi.Authorizer
}

// Secret is a secret with its only version.
type Secret struct {
	Name, ARN string
	// Value is its SecretString; empty when it has none yet.
	Value string

	version string
	created float64 // epoch seconds
}

// Server is a Secrets Manager of one account in one Region. It is an http.Handler, safe for concurrent use.
type Server struct {
	options Options
	secrets []Secret
}

// New returns a server that holds the secrets.
func New(options Options, secrets ...Secret) *Server {
	options.Log = cmp.Or(options.Log, slog.New(slog.DiscardHandler))
	s := &Server{options: options, secrets: slices.Clone(secrets)}
	for i := range s.secrets {
		s.secrets[i].version = rand.Text() + rand.Text()[:6] // 32 characters
		s.secrets[i].created = float64(options.Clock.Now().UnixMilli()) / 1000
	}
	return s
}

// Letters are characters that a generated secret may have.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
const (
	Lowercase   = "abcdefghijklmnopqrstuvwxyz"
	Uppercase   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	Numbers     = "0123456789"
	Punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
)

// Generate returns a random value of so many of the characters.
func Generate(length int, characters string) (string, error) {
	if characters == "" {
		return "", errors.New("every character is excluded from the secret")
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

// failure is an error of the API.
type failure struct{ kind, message string }

// ServeHTTP answers one request of the API. A signature must be there, for its access key; it is not verified.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Read to the end before answering: a client that still writes may lose the answer otherwise.
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
		return refuse("UnknownOperationException", "the local Secrets Manager has no operation %s %q, only GetSecretValue", r.Method, target)
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
	i := slices.IndexFunc(s.secrets, func(secret Secret) bool { return secret.answersTo(request.SecretID) })
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
	case request.VersionStage != "" && request.VersionStage != current, request.VersionID != "" && request.VersionID != s.secrets[i].version:
		return refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label or version: only %s exists here", current)
	}
	secret := s.secrets[i]
	return http.StatusOK, map[string]any{
		"ARN": secret.ARN, "Name": secret.Name, "SecretString": secret.Value, "CreatedDate": secret.created,
		"VersionId": secret.version, "VersionStages": []string{current},
	}
}

// current is the staging label of a secret's present version.
const current = "AWSCURRENT"

// answersTo tells whether an id means the secret: its name, its ARN, or its ARN without what AWS added to the name.
func (s Secret) answersTo(id string) bool {
	partial, _, _ := strings.Cut(s.ARN, ":secret:")
	return id == s.Name || id == s.ARN || id == partial+":secret:"+s.Name
}
