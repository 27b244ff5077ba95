package ui

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/privacy"
	"rollcall/tasks"
)

// sealKey holds the secret with which keys of targets are sealed, for all workers.
const sealKey = "rollcall:ui:seal"

// seal makes addresses of targets in which the ids of people cannot be read: an address is in
// the page, in the history of the browser and in logs of proxies. The same target has the
// same address.
type seal struct {
	secret []byte
	aead   cipher.AEAD
}

// newSeal reads the secret, and makes it if there is none. One round trip, three at first.
func newSeal(ctx context.Context, rdb redis.Cmdable) (seal, error) {
	secret, err := rdb.Get(ctx, sealKey).Bytes()
	if errors.Is(err, redis.Nil) {
		var random [32]byte
		_, _ = rand.Read(random[:]) // never fails
		// redis.Nil: another worker has made it.
		if made := rdb.SetArgs(ctx, sealKey, random[:], redis.SetArgs{Mode: "NX"}).Err(); made != nil && !errors.Is(made, redis.Nil) {
			return seal{}, fmt.Errorf("make the secret of addresses: %w", made)
		}
		secret, err = rdb.Get(ctx, sealKey).Bytes()
	}
	if err != nil {
		return seal{}, fmt.Errorf("read the secret of addresses: %w", err)
	}
	key := sha256.Sum256(secret)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return seal{}, err
	}
	aead, err := cipher.NewGCM(block)
	return seal{secret, aead}, err
}

// target returns the address of the page of a target.
func (s seal) target(tenant string, kind tasks.Kind, key string) string {
	address := "/targets/" + url.PathEscape(tenant) + "/" + url.PathEscape(string(kind))
	if privacy.Target(kind, key) == key { // it names no person
		return address + "?target=" + url.QueryEscape(key)
	}
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(tenant + "." + string(kind) + "\n" + key))
	nonce := mac.Sum(nil)[:s.aead.NonceSize()]
	return address + "?ref=" + base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, []byte(key), []byte(tenant+"."+string(kind))))
}

// open returns the key of a target by the parameter ref of its address.
func (s seal) open(tenant string, kind tasks.Kind, ref string) (key string, ok bool) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(ref)
	if n := s.aead.NonceSize(); err == nil && len(text) >= n {
		plain, err := s.aead.Open(nil, text[:n], text[n:], []byte(tenant+"."+string(kind)))
		return string(plain), err == nil
	}
	return "", false
}
