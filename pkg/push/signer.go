package push

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
)

// signer signs requests with AWS Signature Version 4 and produces the same headers as the SDK's signer, which
// FuzzSigner compares. It is faster because it keeps the signing key with the state of its HMAC and reuses its
// buffers. It is safe for concurrent use; its zero value is ready.
//
// It signs what a post is: a request without a query, whose header names occur once and are in canonical form. Other
// requests are errors. If URL.Opaque is set, it is the escaped path.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
type signer struct {
	key  atomic.Pointer[signingKey]  // the latest
	time atomic.Pointer[signingTime] // the latest
}

var _ apigatewaymanagementapi.HTTPSignerV4 = (*signer)(nil)

// signingKey is a derived key with the inputs that it is derived from. A key is used for one UTC day.
type signingKey struct {
	secret, date, region, service string

	scope string
	macs  sync.Pool // of hash.Hash, keyed
}

// signingTime is a formatted time.
type signingTime struct {
	unix int64
	text string
}

const (
	dateFormat  = "20060102"
	timeFormat  = "20060102T150405Z"
	algorithm   = "AWS4-HMAC-SHA256"
	dateHeader  = "X-Amz-Date"
	tokenHeader = "X-Amz-Security-Token"
)

// scratch is the memory of one signature.
type scratch struct{ canonical, text []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// SignHTTP adds the headers X-Amz-Date, X-Amz-Security-Token (for temporary credentials) and Authorization to r.
// payloadHash is the SHA-256 of the body in hexadecimal. Options are not supported.
func (s *signer) SignHTTP(
	_ context.Context, credentials aws.Credentials, r *http.Request, payloadHash, service, region string,
	signingTime time.Time, options ...func(*v4.SignerOptions),
) error {
	if len(options) > 0 {
		return errors.New("sign the request: signer options are not supported")
	}
	now := s.format(signingTime)
	values := make([]string, 3)
	values[0], values[1] = now, credentials.SessionToken
	r.Header[dateHeader] = values[0:1:1]
	if credentials.SessionToken != "" {
		r.Header[tokenHeader] = values[1:2:2]
	}
	removeDefaultPort(r)

	work := scratches.Get().(*scratch)
	defer scratches.Put(work)
	var names []byte // of the signed headers
	var err error
	if work.canonical, names, err = appendCanonicalRequest(work.canonical[:0], r, payloadHash); err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	digest := sha256.Sum256(work.canonical)

	key := s.signingKey(credentials.SecretAccessKey, now[:len(dateFormat)], region, service)
	text := append(work.text[:0], algorithm+"\n"...)
	text = append(append(append(append(text, now...), '\n'), key.scope...), '\n')
	text = hex.AppendEncode(text, digest[:])
	mac := key.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(text)
	signature := mac.Sum(digest[:0])
	key.macs.Put(mac)

	text = append(text[:0], algorithm+" Credential="...)
	text = append(append(append(text, credentials.AccessKeyID...), '/'), key.scope...)
	text = append(append(append(text, ", SignedHeaders="...), names...), ", Signature="...)
	text = hex.AppendEncode(text, signature)
	work.text = text
	values[2] = string(text)
	r.Header["Authorization"] = values[2:3:3]
	return nil
}

// format returns the time as it is signed, in UTC and whole seconds.
func (s *signer) format(t time.Time) string {
	last := s.time.Load()
	if last == nil || last.unix != t.Unix() {
		last = &signingTime{t.Unix(), t.UTC().Format(timeFormat)}
		s.time.Store(last)
	}
	return last.text
}

// signingKey returns the key for the secret, day, region and service: the latest one, if they are the same.
func (s *signer) signingKey(secret, date, region, service string) *signingKey {
	k := s.key.Load()
	if k != nil && k.secret == secret && k.date == date && k.region == region && k.service == service {
		return k
	}
	key := []byte("AWS4" + secret)
	for _, part := range []string{date, region, service, "aws4_request"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	k = &signingKey{
		secret: secret, date: date, region: region, service: service,
		scope: date + "/" + region + "/" + service + "/aws4_request",
	}
	k.macs.New = func() any { return hmac.New(sha256.New, key) }
	s.key.Store(k)
	return k
}

// header is a header as it is signed.
type header struct{ name, value string }

// appendCanonicalRequest appends the canonical request of r to b. names, a part of the result, is the list of the
// signed headers.
func appendCanonicalRequest(b []byte, r *http.Request, payloadHash string) (_, names []byte, err error) {
	var array [8]header
	headers := append(array[:0], header{"host", hostOf(r)})
	if r.ContentLength > 0 {
		headers = append(headers, header{"content-length", strconv.FormatInt(r.ContentLength, 10)})
	}
	for name, values := range r.Header {
		lower := ""
		switch name {
		case "Authorization", "User-Agent", "X-Amzn-Trace-Id", "Expect", "Transfer-Encoding", "Content-Length":
			continue // never signed, or signed above
		case "Content-Type":
			lower = "content-type"
		case dateHeader:
			lower = "x-amz-date"
		case tokenHeader:
			lower = "x-amz-security-token"
		default:
			lower = strings.ToLower(name)
			if name != http.CanonicalHeaderKey(name) || name == "Host" || name == "" {
				return b, nil, fmt.Errorf("header name %q is not supported", name)
			}
		}
		if len(values) != 1 {
			return b, nil, fmt.Errorf("header %q with %d values is not supported", name, len(values))
		}
		headers = append(headers, header{lower, values[0]})
	}
	slices.SortFunc(headers, func(a, b header) int { return strings.Compare(a.name, b.name) })

	path, host := r.URL.Opaque, hostOf(r)
	if path == "" {
		path = cmp.Or(r.URL.EscapedPath(), "/")
	}
	if r.URL.RawQuery != "" || strings.Contains(host, "]") != strings.HasPrefix(host, "[") ||
		!strings.HasPrefix(path, "/") || strings.HasPrefix(r.URL.Opaque, "//") || strings.Contains(path, "?") {
		return b, nil, fmt.Errorf("the URL %q is not supported", r.URL)
	}
	b = append(append(b, r.Method...), '\n')
	b = append(appendEscaped(b, path, '/'), "\n\n"...) // the empty line is the query
	for _, h := range headers {
		b = append(append(b, h.name...), ':')
		b = append(appendTrimmed(b, h.value), '\n')
	}
	b = append(b, '\n')
	start := len(b)
	for i, h := range headers {
		if i > 0 {
			b = append(b, ';')
		}
		b = append(b, h.name...)
	}
	end := len(b)
	b = append(append(b, '\n'), payloadHash...)
	return b, b[start:end], nil
}

// appendEscaped appends text with all bytes escaped except unreserved characters and keep. AWS escapes a path in this
// way, and for the signature once more.
func appendEscaped(b []byte, text string, keep byte) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		switch c := text[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == keep:
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// appendTrimmed appends value without spaces around it and with each run of spaces inside it as one space.
func appendTrimmed(b []byte, value string) []byte {
	value = strings.TrimSpace(strings.Trim(value, " "))
	if !strings.Contains(value, "  ") {
		return append(b, value...)
	}
	space := false
	for i := range len(value) {
		if value[i] != ' ' || !space {
			b = append(b, value[i])
		}
		space = value[i] == ' '
	}
	return b
}

// removeDefaultPort sets r.Host to the host without its port if the port is the scheme's default, because such a port
// is not part of the Host header that AWS verifies.
func removeDefaultPort(r *http.Request) {
	host, port, err := net.SplitHostPort(hostOf(r))
	if err == nil && (r.URL.Scheme == "https" && port == "443" || r.URL.Scheme == "http" && port == "80") {
		r.Host = host
	}
}

func hostOf(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}
