package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

const (
	// sessionKey, then the hash of a session's id, is where Redis keeps it.
	sessionKey = "rollcall:session:"
	// Idle ends a session whose user has requested no page for so long. The refreshing of
	// an open page does not count.
	Idle = 2 * time.Hour
	// Longest ends every session.
	Longest = 12 * time.Hour
	// renewEvery is how often a session in use is written again.
	renewEvery = time.Minute
	// trustFor is how long a session is accepted that was checked, while Redis is
	// unavailable: somebody who repairs it must see the pages.
	trustFor = 10 * time.Minute
	// answerWithin bounds a request to Redis about a session.
	answerWithin = 2 * time.Second
)

// errNoSession means that a session does not exist, or has ended.
var errNoSession = errors.New("no such session")

// Sessions are the logins at the pages. They are in Redis, so that several workers behind
// one address share them, under a hash of their ids, so that reading Redis gives no session. Its
// methods are safe for concurrent use.
type Sessions struct {
	rdb redis.UniversalClient
	now func() time.Time

	mu    sync.Mutex
	known map[string]*seen // by key: sessions that this process has checked
}

// seen is what a process remembers of a session.
type seen struct {
	stored

	checked, renewed time.Time
	apart            bool // Redis refused it: it is in this process alone
}

// stored is a session as Redis keeps it.
type stored struct {
	User  string `json:"user"`
	Began int64  `json:"began"` // Unix s
	// Proof binds the session to the password, without helping somebody to guess it: its
	// key is the id, which is not stored.
	Proof string `json:"proof"`
}

// NewSessions returns the sessions in a Redis.
func NewSessions(rdb redis.UniversalClient, now func() time.Time) *Sessions {
	return &Sessions{rdb: rdb, now: now, known: map[string]*seen{}}
}

func keyOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return sessionKey + hex.EncodeToString(sum[:])
}

// sign returns a value that only the holder of the id can make.
func sign(id, what string) string {
	mac := hmac.New(sha256.New, []byte(id))
	mac.Write([]byte(what))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func proof(id string, a Account) string { return sign(id, "password "+a.Password.Reveal()) }

// begin begins a session and returns its id. If Redis does not take it, it is in this process
// alone, for a short time.
func (s *Sessions) begin(ctx context.Context, a Account) string {
	id, now := randomText(), s.now()
	e := &seen{stored: stored{User: a.Name, Began: now.Unix()}, checked: now, renewed: now}
	e.Proof = proof(id, a)
	e.apart = s.write(ctx, keyOf(id), e.stored) != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, old := range s.known {
		if now.Sub(old.checked) > trustFor {
			delete(s.known, key)
		}
	}
	s.known[keyOf(id)] = e
	return id
}

// life is how long a session still lasts without a request.
func (r stored) life(now time.Time) time.Duration {
	return min(Idle, time.Unix(r.Began, 0).Add(Longest).Sub(now))
}

func (s *Sessions) write(ctx context.Context, key string, record stored) error {
	life := record.life(s.now())
	text, err := json.Marshal(record)
	if err != nil || life <= 0 {
		return errNoSession
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := s.rdb.Set(ctx, key, text, life).Err(); err != nil {
		return fmt.Errorf("write a session: %w", err)
	}
	return nil
}

// find returns the account of a session. active means that its user does something.
func (s *Sessions) find(ctx context.Context, id string, active bool, users *Users) (Account, error) {
	key, now := keyOf(id), s.now()
	record, err := s.read(ctx, key, now)
	if err != nil {
		return Account{}, err
	}
	a, exists := users.named(record.User)
	if !exists || !hmac.Equal([]byte(proof(id, a)), []byte(record.Proof)) || now.Sub(time.Unix(record.Began, 0)) >= Longest {
		return Account{}, errNoSession
	}
	if active {
		s.renew(ctx, key, now)
	}
	return a, nil
}

// renew keeps a session that is in use. One that has ended in between stays ended.
func (s *Sessions) renew(ctx context.Context, key string, now time.Time) {
	s.mu.Lock()
	e := s.known[key]
	if e == nil || now.Sub(e.renewed) < renewEvery {
		s.mu.Unlock()
		return
	}
	e.renewed = now
	record, apart := e.stored, e.apart
	s.mu.Unlock()
	if apart {
		if s.write(ctx, key, record) == nil {
			s.mu.Lock()
			e.apart = false
			s.mu.Unlock()
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_ = s.rdb.PExpire(ctx, key, record.life(now)).Err() // repeated after a minute
}

// read reads a session. If Redis is unavailable, or refused it, what this process remembers
// counts.
func (s *Sessions) read(ctx context.Context, key string, now time.Time) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	text, err := s.rdb.Get(ctx, key).Bytes()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.known[key]
	switch {
	case err == nil:
		var found stored
		if json.Unmarshal(text, &found) != nil {
			return stored{}, errNoSession
		}
		if e == nil {
			e = &seen{renewed: now}
			s.known[key] = e
		}
		e.stored, e.checked, e.apart = found, now, false
		return found, nil
	case e == nil && !errors.Is(err, redis.Nil):
		return stored{}, fmt.Errorf("read a session: %w", err)
	case e == nil, now.Sub(e.checked) > trustFor, errors.Is(err, redis.Nil) && !e.apart:
		delete(s.known, key)
		return stored{}, errNoSession
	}
	return e.stored, nil
}

// end ends a session.
func (s *Sessions) end(ctx context.Context, id string) error {
	key := keyOf(id)
	s.mu.Lock()
	delete(s.known, key)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := s.rdb.Del(ctx, key).Err(); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}
