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
	// Password is the user's password in tests.
	Password = "pass-of-rollcall"
	// Rules are the user's permissions, as in docs/redis.md.
	Rules = "~asynq:* ~rollcall:* resetchannels &asynq:cancel &rollcall:*" +
		" -@all +@read +@write +@connection +eval +evalsha +time +wait +multi +exec +publish +subscribe +unsubscribe -@dangerous" +
		" +info +cluster|slots +cluster|info +cluster|nodes +cluster|keyslot"

	// SentinelPassword is the password of the Sentinels in tests.
	SentinelPassword = "pass-of-sentinels"

	admin         = "admin"
	adminPassword = "pass-of-admin"
)

// Denied lists what the live servers have refused the user since the last call, one
// line for each command, key or channel.
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
			return nil, fmt.Errorf("read the ACL log of %s: %w; last output:\n%s", n.addr, err, n.last.String())
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
		t.Errorf("redistest: the ACL user of docs/redis.md lacks a permission: %s", line)
	}
}
