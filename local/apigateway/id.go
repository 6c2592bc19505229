package apigateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"
)

// idBytes is the number of random bytes in an id. Captured connection, request and message ids have sixteen characters,
// the last of which is "="; eleven bytes are encoded so.
const idBytes = 11

// newID returns an unguessable id for a connection, a request or a message.
func newID() string {
	var b [idBytes]byte
	rand.Read(b[:])
	return base64.URLEncoding.EncodeToString(b[:])
}

// validID reports whether id has the form of a connection id.
func validID(id string) bool {
	var b [idBytes + 1]byte
	if len(id) != base64.URLEncoding.EncodedLen(idBytes) {
		return false
	}
	// Decode skips line breaks, so that the decoded length must be checked too.
	n, err := base64.URLEncoding.Strict().Decode(b[:], []byte(id))
	return err == nil && n == idBytes
}

// newTrace returns a tracing header with a new root.
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func newTrace(now time.Time) string {
	var b [12]byte
	rand.Read(b[:])
	return fmt.Sprintf("Root=1-%08x-%s", uint32(now.Unix()), hex.EncodeToString(b[:]))
}
