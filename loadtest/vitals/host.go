package vitals

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
)

// hostDigest returns a digest of the host name, which distinguishes machines without naming them in result files.
func hostDigest() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte("fanfare loadtest " + name))
	return hex.EncodeToString(sum[:4])
}
