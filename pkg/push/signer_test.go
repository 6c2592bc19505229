package push_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"fanfare/pkg/push"
)

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// signing is the input of one signature.
type signing struct {
	method, target, opaque    string
	name, value               string // a header
	id, secret, token, region string
	unix, length              int64
	hash                      string
}

// signings is the corpus of FuzzSigner.
var signings = []signing{
	{ // local
		"POST", "http://127.0.0.1:3001", "/prod/@connections/L0SM9cOFvHcCIhw%3D", "X-Test", "value",
		"AKID", "secret", "", "us-east-1", 1_700_000_000, 5, emptyHash,
	},
	{ // AWS
		"POST", "https://a.execute-api.eu-west-1.amazonaws.com/prod/@connections/a=", "", "User-Agent", "not signed",
		"ASIA", "secret/+", "token//==", "eu-west-1", 1_709_251_199, 131_072, emptyHash,
	},
	// Characters that are escaped once or twice.
	{"POST", "http://a/%41%2F+ =~.-_ü%C3%BC*", "", "X-A", "b", "A", "s", "t", "r", 1, 1, emptyHash},
	{"POST", "http://a", "/%41%2F+=~.-_%C3%BC*", "X-A", "b", "A", "s", "t", "r", 1, 1, emptyHash},
	// The default port is not signed.
	{"DELETE", "https://a:443/", "", "X-A", "b", "A", "s", "t", "r", 0, 0, ""},
	{"DELETE", "http://a:80/b", "", "X-A", "b", "A", "s", "t", "r", 0, 0, ""},
	{"POST", "http://a:443/b", "", "X-A", "b", "A", "s", "t", "r", 0, 0, ""},
	{"POST", "http://[::1]:80", "", "X-A", "b", "A", "s", "t", "r", 0, 0, ""},
	{"POST", "http://[::1]:81", "", "X-A", "b", "A", "s", "t", "r", 0, 0, ""},
	// Spaces around a value go, and a run of spaces inside becomes one.
	{"POST", "http://a", "/b", "X-Z", "  a   b\t  c d \t ", "A", "s", "t", "r", -1, -1, "x"},
	{"POST", "http://a", "/b", "X-Z", " ", "A", "s", "t", "r", -1, 7, "x"},
	// Before, between and after the other names.
	{"POST", "http://a", "/b", "A", "b", "A", "s", "t", "r", 86_399, 7, emptyHash},
	{"POST", "http://a", "/b", "Date", "b", "A", "s", "t", "r", 86_400, 7, emptyHash},
	{"POST", "http://a", "/b", "Content-Length", "8", "A", "s", "t", "r", 86_400, 7, emptyHash},
	{"POST", "http://a", "/b", "Authorization", "old", "A", "s", "t", "r", 86_400, 7, emptyHash},
	// Not supported.
	{"GET", "http://a/b?query=1", "", "X-A", "b", "", "", "", "", 1 << 40, 1, emptyHash},
	{"POST", "http://a", "//a/b", "X-A", "b", "A", "s", "t", "r", 1, 7, emptyHash},
	{"POST", "http://a", "/b?c", "X-A", "b", "A", "s", "t", "r", 1, 7, emptyHash},
	{"POST", "http://a", "/b", "x-lower", "b", "A", "s", "t", "r", 1, 7, emptyHash},
	{"POST", "http://a", "/b", "Host", "b", "A", "s", "t", "r", 1, 7, emptyHash},
	{"POST", "http://a]:80", "/b", "X-A", "b", "A", "s", "t", "r", 1, 7, emptyHash},
	{"POST", "http://a", "/b", "", "b", "A", "s", "t", "r", 1, 7, emptyHash},
}

// supported reports whether the signer promises to sign the request.
func (s signing) supported() bool {
	u, err := url.Parse(s.target)
	return err == nil && u.RawQuery == "" && strings.Contains(u.Host, "]") == strings.HasPrefix(u.Host, "[") &&
		s.name == http.CanonicalHeaderKey(s.name) && s.name != "Host" && s.name != "" &&
		(s.opaque == "" || strings.HasPrefix(s.opaque, "/") && !strings.HasPrefix(s.opaque, "//")) &&
		!strings.Contains(s.opaque, "?")
}

// request returns the request to be signed, or nil if there is none with this input.
func (s signing) request() *http.Request {
	u, err := url.Parse(s.target)
	if err != nil || u.Host == "" {
		return nil
	}
	if year := time.Unix(s.unix, 0).UTC().Year(); year < 1 || year > 9999 {
		return nil
	}
	u.Opaque = s.opaque
	return &http.Request{
		Method: s.method, URL: u, ContentLength: s.length,
		Header: http.Header{"Content-Type": {"text/plain"}, s.name: {s.value}},
	}
}

// compare signs the request twice with signer, the second time with a cached key, and compares the result with that
// of the SDK's signer. signed reports whether signer has signed it.
func (s signing) compare(t interface {
	Fatalf(format string, args ...any)
	Context() context.Context
}, signer v4.HTTPSigner,
) (signed bool) {
	want := s.request()
	if want == nil {
		return false
	}
	credentials := aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret, SessionToken: s.token}
	at := time.Unix(s.unix, 0)
	err := v4.NewSigner().SignHTTP(t.Context(), credentials, want, s.hash, "execute-api", s.region, at)
	if err != nil {
		t.Fatalf("got %v of the SDK's signer", err)
	}
	for range 2 {
		got := s.request()
		err := signer.SignHTTP(t.Context(), credentials, got, s.hash, "execute-api", s.region, at)
		if (err == nil) != s.supported() {
			t.Fatalf("got %v, want an error: %v", err, !s.supported())
		}
		if err != nil {
			return false
		}
		if !maps.EqualFunc(got.Header, want.Header, slices.Equal) || got.Host != want.Host {
			t.Fatalf("got %q, host %q; want %q, host %q", got.Header, got.Host, want.Header, want.Host)
		}
	}
	return true
}

// FuzzSigner compares the headers that the signer adds with those of the SDK's signer. A request that the signer does
// not support must be an error.
func FuzzSigner(f *testing.F) {
	for _, s := range signings {
		f.Add(s.method, s.target, s.opaque, s.name, s.value, s.id, s.secret, s.token, s.region, s.unix, s.length, s.hash)
	}
	shared := push.NewSigner() // a key that is cached for other inputs must not be used
	f.Fuzz(func(t *testing.T, method, target, opaque, name, value, id, secret, token, region string,
		unix, length int64, hash string,
	) {
		signing{method, target, opaque, name, value, id, secret, token, region, unix, length, hash}.compare(t, shared)
	})
}

func TestSigner_Corpus(t *testing.T) {
	signed := 0
	for _, s := range signings {
		if s.compare(t, push.NewSigner()) {
			signed++
		}
	}
	if signed != len(signings)-7 {
		t.Errorf("got %d of %d requests signed, want all but 7", signed, len(signings))
	}
}

// Requests that the signer supports are signed in the same way as by the SDK.
func TestSigner_Random(t *testing.T) {
	shared := push.NewSigner()
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) string { return rapid.String().Draw(t, label) }
		s := signing{
			method: rapid.SampledFrom([]string{"POST", "DELETE", "GET"}).Draw(t, "method"),
			target: rapid.SampledFrom([]string{"http://a", "https://a.b:443", "http://[::1]:80"}).Draw(t, "target"),
			name:   "X-" + rapid.StringMatching(`[A-Z][a-z]{1,8}`).Draw(t, "name"),
			value:  text("value"),
			id:     text("id"),
			secret: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "secret"),
			token:  text("token"),
			region: rapid.SampledFrom([]string{"us-east-1", "eu-west-1"}).Draw(t, "region"),
			unix:   rapid.Int64Range(0, 1<<34).Draw(t, "unix"),
			length: rapid.Int64Range(-1, 1<<20).Draw(t, "length"),
			hash:   emptyHash,
		}
		if rapid.Bool().Draw(t, "escaped") {
			s.opaque = "/" + url.PathEscape(text("opaque"))
		} else {
			s.target += "/" + url.PathEscape(text("path"))
		}
		if !s.compare(t, shared) {
			t.Fatalf("got an unsigned request")
		}
	})
}

// One signer used by many goroutines, with credentials that change, gives each request its own signature.
func TestSigner_Concurrent(t *testing.T) {
	shared := push.NewSigner()
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			credentials := aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: fmt.Sprint(i % 3)}
			at := time.Unix(1_700_000_000+int64(i%2)*86400, 0)
			reference := v4.NewSigner()
			for j := range 200 {
				sign := func(s v4.HTTPSigner) string {
					r, err := http.NewRequest("POST", fmt.Sprintf("http://a/%d/%d", i, j), nil)
					if err != nil {
						t.Error(err)
						return ""
					}
					if err := s.SignHTTP(t.Context(), credentials, r, "hash", "execute-api", "r", at); err != nil {
						t.Error(err)
					}
					return r.Header.Get("Authorization")
				}
				if got, want := sign(shared), sign(reference); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
	group.Wait()
}
