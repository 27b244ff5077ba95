package redistest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	// User is the ACL user of docs/redis.md.
	User = "rollcall"
	// Password is that user's in tests.
	Password = "pass-of-rollcall"
	// Rules are that user's rights, as docs/redis.md has them.
	Rules = "~asynq:* ~rollcall:* resetchannels &asynq:cancel &rollcall:*" +
		" -@all +@read +@write +@connection +eval +evalsha +time +wait +multi +exec +publish +subscribe +unsubscribe -@dangerous" +
		" +info +cluster|slots +cluster|info +cluster|nodes +cluster|keyslot"

	// SentinelPassword is what the Sentinels of a test ask for.
	SentinelPassword = "pass-of-sentinels"

	admin         = "admin"
	adminPassword = "pass-of-admin"
)

// Denied lists what the live servers have refused the user since they were
// last asked, one line a command, key or channel.
func (d *Deployment) Denied(ctx context.Context) ([]string, error) {
	var denied []string
	for _, n := range d.live() {
		err := d.as(n, func(c *redis.Client) error {
			entries, err := c.ACLLog(ctx, 100).Result()
			for _, e := range entries {
				if e.Username == User {
					denied = append(denied, fmt.Sprintf("%s: %s %s (%s)", n.addr, e.Reason, e.Object, e.Context))
				}
			}
			return errors.Join(err, c.ACLLogReset(ctx).Err())
		})
		if err != nil {
			return nil, fmt.Errorf("read the ACL log of %s: %w; it said last:\n%s", n.addr, err, n.last.String())
		}
	}
	return denied, nil
}

// wantNoDenials fails a test in which the user was refused something.
func (d *Deployment) wantNoDenials(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), startBound)
	defer cancel()
	denied, err := d.Denied(ctx)
	if err != nil {
		t.Errorf("redistest: %v", err)
	}
	for _, line := range denied {
		t.Errorf("redistest: the ACL user of docs/redis.md may not do what it needs: %s", line)
	}
}
