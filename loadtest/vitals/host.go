package vitals

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
)

// hostDigest tells machines apart in result files without writing their names into them.
func hostDigest() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte("fanfare loadtest " + name))
	return hex.EncodeToString(sum[:4])
}
