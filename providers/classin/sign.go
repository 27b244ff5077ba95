package classin

import (
	"crypto/md5" //nolint:gosec // the platform's scheme, not our choice
	"encoding/hex"
	"strconv"
	"time"

	"rollcall/internal/secret"
)

// sign returns the time stamp, in seconds, and the safeKey that belongs to it:
// the MD5 of the secret and the stamp as 32 lower-case hex digits. It covers
// nothing else of the request and is good for 20 minutes, so whoever reads one
// on the way can use it: TLS is not optional.
func sign(key secret.Text, at time.Time) (stamp, safeKey string) {
	stamp = strconv.FormatInt(at.Unix(), 10)
	sum := md5.Sum([]byte(key.Reveal() + stamp)) //nolint:gosec // see above
	return stamp, hex.EncodeToString(sum[:])
}
