package access

import (
	"crypto/subtle"
	"errors"
	"sync/atomic"
	"time"
)

// The errors of Identify.
var (
	ErrUnknown = errors.New("unknown token")
	ErrExpired = errors.New("expired token")
)

// Grant is a token as the configuration declares it.
type Grant struct {
	Principal

	Expires time.Time // from then on it is refused
	Hashes  []Hash    // of its secrets: two during a rotation
}

// Tokens is what a configuration grants. The zero value grants nothing. Its methods are
// safe for concurrent use.
type Tokens struct{ grants atomic.Pointer[[]Grant] }

// NewTokens returns Tokens with these grants.
func NewTokens(grants ...Grant) *Tokens {
	t := &Tokens{}
	t.Replace(grants)
	return t
}

// Replace replaces all grants, for later requests.
func (t *Tokens) Replace(grants []Grant) { t.grants.Store(&grants) }

func (t *Tokens) all() []Grant {
	if grants := t.grants.Load(); grants != nil {
		return *grants
	}
	return nil
}

// Identify returns the principal of a bearer token's secret, ErrUnknown, or ErrExpired with
// a principal that has only the token's name. Its time does not depend on which token
// matches.
func (t *Tokens) Identify(secret string, now time.Time) (Principal, error) {
	if !wholeToken.MatchString(secret) {
		return Principal{}, ErrUnknown
	}
	given := HashOf(secret)
	grants, found := t.all(), -1
	for i, g := range grants {
		for _, h := range g.Hashes {
			found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(given[:], h[:]), i, found)
		}
	}
	switch {
	case found < 0:
		return Principal{}, ErrUnknown
	case !now.Before(grants[found].Expires):
		return Principal{Token: grants[found].Token}, ErrExpired
	}
	return grants[found].Principal, nil
}
