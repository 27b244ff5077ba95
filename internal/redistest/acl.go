package redistest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	// User is the ACL user of docs/redis.md, for workers and the command rollcall.
	User = "rollcall"
	// Password is the user's password in tests.
	Password = "pass-of-rollcall"
	// Producer is the ACL user of producers.
	Producer = "rollcall-producer"
	// ProducerPassword is that user's password in tests.
	ProducerPassword = "pass-of-producers"

	// Rules are the permissions of User, as in docs/redis.md.
	Rules = "~asynq:* ~rollcall:* resetchannels &asynq:cancel &rollcall:* -@all" +
		" +ping +client|setname +info +wait +time +eval +evalsha +multi +exec +publish +subscribe" +
		" +del +exists +expire +expireat +pexpire +type +memory|usage" +
		" +get +getrange +incr +incrby +mget +set +setex +setrange" +
		" +hdel +hexists +hget +hgetall +hincrby +hlen +hmget +hscan +hset +hsetnx +hstrlen +hvals" +
		" +llen +lpos +lpush +lrange +lrem +ltrim +rpoplpush +rpush" +
		" +sadd +sismember +smembers +srem" +
		" +zadd +zcard +zcount +zlexcount +zmscore +zrange +zrangebyscore +zrank +zrem +zremrangebyrank +zremrangebyscore" +
		" +zrevrange +zrevrangebylex +zscan +zscore +xadd +xrevrange" +
		" +command +asking +cluster|slots +cluster|info +cluster|nodes +cluster|keyslot"
	// ProducerRules are the permissions of Producer, as in docs/redis.md.
	ProducerRules = "~asynq:queues ~asynq:{*}:t:* ~asynq:{*}:pending ~asynq:{*}:scheduled %R~asynq:{*}:retry %R~rollcall:lanes" +
		" ~rollcall:rows:* ~rollcall:key:*" +
		" ~rollcall:{*}:target:* ~rollcall:{*}:edits:* ~rollcall:{*}:tasks ~rollcall:{*}:ended:* ~rollcall:{*}:runs ~rollcall:{*}:run:* ~rollcall:{*}:floor ~rollcall:{*}:targets" +
		" %R~rollcall:{*}:effects:* %R~rollcall:{*}:doubts %R~rollcall:{*}:changed" +
		" resetchannels -@all +ping +client|setname +time +eval +evalsha" +
		" +exists +pexpire +type +get +getrange +incrby +set +setrange +hdel +hexists +hget +hgetall +hmget +hset" +
		" +lpush +sadd +sismember +zadd +zrem +zremrangebyscore +zscore" +
		" +command +asking +cluster|slots"

	// SentinelPassword is the password of the Sentinels in tests.
	SentinelPassword = "pass-of-sentinels"

	admin         = "admin"
	adminPassword = "pass-of-admin"
)

// ProducerURL is URL with the user of producers.
func (d *Deployment) ProducerURL() string {
	return strings.Replace(d.URL, User+":"+Password+"@", Producer+":"+ProducerPassword+"@", 1)
}

// ProducerOptions are Options with the user of producers.
func (d *Deployment) ProducerOptions() *redis.UniversalOptions {
	options := d.Options()
	options.Username, options.Password = Producer, ProducerPassword
	return options
}

// Set changes the permissions of a user at every live server.
func (d *Deployment) Set(t *testing.T, user, rules string) {
	t.Helper()
	args := []any{"acl", "setuser", user}
	for rule := range strings.FieldsSeq(rules) {
		args = append(args, rule)
	}
	d.must(t, "set the permissions of "+user+" to "+rules, func(c *redis.Client) error {
		return c.Do(context.WithoutCancel(t.Context()), args...).Err()
	})
}

// ForgetScripts makes every live server forget its scripts.
func (d *Deployment) ForgetScripts(t *testing.T) {
	t.Helper()
	d.must(t, "forget the scripts", func(c *redis.Client) error { return c.ScriptFlush(context.WithoutCancel(t.Context())).Err() })
}

// Empty deletes all data at every live server.
func (d *Deployment) Empty(t *testing.T) {
	t.Helper()
	d.must(t, "delete all data", func(c *redis.Client) error { return c.FlushAll(context.WithoutCancel(t.Context())).Err() })
}

// Calls returns how often each command was called at the live servers, also by scripts
// and by the test itself.
func (d *Deployment) Calls(t *testing.T) map[string]int {
	t.Helper()
	calls := map[string]int{}
	d.must(t, "count commands", func(c *redis.Client) error {
		info, err := c.Info(context.WithoutCancel(t.Context()), "commandstats").Result()
		for line := range strings.Lines(info) {
			var times int
			name, rest, found := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
			if _, scanned := fmt.Sscan(strings.ReplaceAll(rest, ",", " "), &times); found && scanned == nil {
				calls[name] += times
			}
		}
		return err
	})
	return calls
}

// OfCluster reports whether a right is for a Cluster alone.
func OfCluster(right string) bool {
	return right == "+command" || right == "+asking" || strings.HasPrefix(right, "+cluster|")
}

// Denied lists what the live servers have refused the users since the last call, one
// line for each command, key or channel.
func (d *Deployment) Denied(ctx context.Context) ([]string, error) {
	var denied []string
	for _, n := range d.live() {
		err := d.as(n, func(c *redis.Client) error {
			entries, err := c.ACLLog(ctx, 100).Result()
			for _, e := range entries {
				if e.Username == User || e.Username == Producer {
					denied = append(denied, fmt.Sprintf("%s: %s: %s %s (%s)", n.addr, e.Username, e.Reason, e.Object, e.Context))
				}
			}
			return errors.Join(err, c.ACLLogReset(ctx).Err())
		})
		if err != nil {
			return nil, fmt.Errorf("read the ACL log of %s: %w; last output:\n%s", n.addr, err, n.Output())
		}
	}
	return denied, nil
}

// wantNoDenials fails a test in which a user was refused something.
func (d *Deployment) wantNoDenials(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), startBound)
	defer cancel()
	denied, err := d.Denied(ctx)
	if err != nil {
		t.Errorf("redistest: %v", err)
	}
	for _, line := range denied {
		t.Errorf("redistest: an ACL user of docs/redis.md lacks a permission: %s", line)
	}
}
