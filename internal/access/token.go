package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"rollcall/internal/secret"
)

// Prefix begins every token, so that people and secret scanners recognise one.
const Prefix = "rct_"

// secretBytes is the length of the random part: too long to be guessed, so that one
// SHA-256 protects it.
const secretBytes = 32

// tokenPattern is a token: the prefix and 32 bytes in base64url without padding.
const tokenPattern = Prefix + `[A-Za-z0-9_-]{43}`

var (
	wholeToken = regexp.MustCompile(`^` + tokenPattern + `$`)
	anyToken   = regexp.MustCompile(tokenPattern)
)

// NewSecret returns a new random token.
func NewSecret() secret.Text { return secret.New(Prefix + randomText()) }

// randomText returns 256 random bits.
func randomText() string {
	var random [secretBytes]byte
	_, _ = rand.Read(random[:]) // never fails: the process ends if the system has no randomness
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// Hash is what is stored of a token.
type Hash [sha256.Size]byte

// HashOf returns the hash of a token.
func HashOf(token string) Hash { return sha256.Sum256([]byte(token)) }

const hashPrefix = "sha256:"

// String returns the form that ParseHashes reads.
func (h Hash) String() string { return hashPrefix + hex.EncodeToString(h[:]) }

// mostHashes is how many tokens of one name are valid together: the old and the new one.
const mostHashes = 2

// ParseHashes reads the hashes of one or two tokens, separated by white space. Its errors
// contain nothing of the text.
func ParseHashes(text string) ([]Hash, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 || len(fields) > mostHashes {
		return nil, fmt.Errorf("has %d hashes, but must have one, or two during a rotation", len(fields))
	}
	var hashes []Hash
	for _, field := range fields {
		digits, named := strings.CutPrefix(field, hashPrefix)
		b, err := hex.DecodeString(digits)
		switch {
		case anyToken.MatchString(field):
			return nil, errors.New("contains a token itself, not its hash; make a new one with: worker token new")
		case !named || err != nil || len(b) != sha256.Size:
			return nil, errors.New("is not a hash; write sha256: and 64 digits, as worker token new prints it")
		}
		hashes = append(hashes, Hash(b))
	}
	return hashes, nil
}
