package classin

import (
	"crypto/md5" //nolint:gosec // the platform's scheme, not our choice
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/secret"
)

// sign returns the time stamp, in seconds, and its safeKey: the MD5 of the secret and
// the stamp as 32 lower-case hex digits. The safeKey covers nothing else of the request
// and is valid for 20 minutes, so anyone who reads one on the network can use it: TLS
// is required.
func sign(key secret.Text, at time.Time) (stamp, safeKey string) {
	stamp = strconv.FormatInt(at.Unix(), 10)
	sum := md5.Sum([]byte(key.Reveal() + stamp)) //nolint:gosec // see above
	return stamp, hex.EncodeToString(sum[:])
}

// signV2 returns the time stamp, in seconds, and the signature of an API of version 2:
// the MD5 of the parameters, the SID and the stamp, sorted by name, and the secret, as
// 32 lower-case hex digits. Lists, objects and values over 1,024 bytes are not signed:
// the caller leaves them out. It is good for 5 minutes.
// See https://docs.eeo.cn/api/zh-hans/appendix/signature.html.
func signV2(key secret.Text, sid string, at time.Time, params map[string]string) (stamp, signature string) {
	stamp = strconv.FormatInt(at.Unix(), 10)
	signed := map[string]string{"sid": sid, "timeStamp": stamp}
	maps.Copy(signed, params)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		text.WriteString(name + "=" + signed[name] + "&")
	}
	sum := md5.Sum([]byte(text.String() + "key=" + key.Reveal())) //nolint:gosec // see above
	return stamp, hex.EncodeToString(sum[:])
}
