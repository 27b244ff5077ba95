package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/config"
	"rollcall/internal/ledger"
)

// The oldest supported version of Redis: the scripts use features of 6.2.
const oldestMajor, oldestMinor = 6, 2

//go:embed checkacl.lua
var checkACLLua string

// redisTry collects the findings about one Redis.
type redisTry struct {
	rdb redis.UniversalClient

	mu       sync.Mutex
	findings []finding
}

func (r *redisTry) found(v verdict, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := finding{Subject: "redis", Verdict: v, Text: fmt.Sprintf(format, args...)}
	r.findings = append(r.findings, f)
}

func tryRedis(ctx context.Context, cfg config.Redis) []finding {
	r := &redisTry{}
	if cfg.Embedded != "" {
		r.found(notTried, "embedded: it starts and stops with the worker")
		return r.findings
	}
	var err error
	at := redisConfig(cfg)
	at.ClientName = "rollcall-check"
	if r.rdb, err = at.Open(); err != nil {
		r.found(problem, "%v", err)
		return r.findings
	}
	defer func() { _ = r.rdb.Close() }()
	if err := r.rdb.Ping(ctx).Err(); err != nil {
		r.found(problem, "%s", whyNoAnswer(err))
		return r.findings
	}
	cluster, ok := r.rdb.(*redis.ClusterClient)
	if !ok {
		r.server(ctx, r.rdb)
	} else if err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		r.server(ctx, node)
		return nil
	}); err != nil {
		r.found(problem, "cannot list the masters of the Cluster: %v", err)
	}
	r.permissions(ctx)
	r.schema(ctx)
	return r.findings
}

func whyNoAnswer(err error) string {
	switch text := err.Error(); {
	case strings.HasPrefix(text, "WRONGPASS"):
		return "wrong user or password; compare redis.username and redis.password with the server's ACL"
	case strings.HasPrefix(text, "NOAUTH"):
		return "a password is required; add redis.password"
	case strings.HasPrefix(text, "NOPERM") && strings.Contains(text, "'select'"):
		return "the user may not use a database other than 0; add +select, or use database 0"
	case strings.HasPrefix(text, "NOPERM"):
		return "the user may not run PING; see the permissions in docs/redis.md"
	default:
		return "no answer: " + text
	}
}

// server checks the INFO of one server.
func (r *redisTry) server(ctx context.Context, node redis.Cmdable) {
	info, err := node.Info(ctx).Result()
	if err != nil {
		r.found(warning, "cannot read version, eviction and persistence (INFO: %v); give the user +info, "+
			"or check them yourself: 6.2 or later, maxmemory-policy noeviction, appendonly yes", err)
		return
	}
	facts := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = value
		}
	}
	name := "this server"
	if port := facts["tcp_port"]; port != "" {
		name = "the server at port " + port
	}
	switch version := facts["redis_version"]; {
	case version == "":
		r.found(warning, "%s has no version in INFO; check that it is 6.2 or later", name)
	case !recent(version):
		r.found(problem, "%s has version %s; rollcall needs %d.%d or later", name, version, oldestMajor, oldestMinor)
	default:
		r.found(fine, "%s has version %s", name, version)
	}
	if policy := facts["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		r.found(problem, "%s deletes keys when its memory is full (maxmemory-policy %s), which loses tasks and the record of changes; "+
			"set maxmemory-policy noeviction", name, policy)
	}
	if facts["aof_enabled"] == "0" {
		r.found(warning, "%s has no append-only file: a restart loses all writes since the last snapshot, or all data; "+
			"set appendonly yes", name)
	}
	if facts["aof_last_write_status"] == "err" || facts["rdb_last_bgsave_status"] == "err" {
		r.found(problem, "the last write of %s to its disk failed; see its log", name)
	}
	if facts["role"] == "slave" {
		r.found(problem, "%s is a replica and refuses writes; configure its master, or its sentinels in redis.sentinel", name)
	}
}

func recent(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	m, err := strconv.Atoi(major)
	n, minorErr := strconv.Atoi(minor)
	return err == nil && minorErr == nil && (m > oldestMajor || m == oldestMajor && n >= oldestMinor)
}

// permissions runs the commands of a worker on keys of its own, and reports missing
// permissions.
func (r *redisTry) permissions(ctx context.Context) {
	before := len(r.findings)
	tag := "{check:" + uuid.NewString() + "}:"
	for _, prefix := range []string{"asynq:", "rollcall:"} {
		r.script(ctx, prefix, prefix+tag)
	}
	// asynq publishes cancelled tasks, and rollcall publishes pauses. No task and no lane
	// has this name.
	for _, channel := range []struct{ name, rule string }{{"asynq:cancel", "&asynq:cancel"}, {"rollcall:pace", "&rollcall:*"}} {
		r.may("permissions on channels", channel.rule+" +publish", func() error {
			return r.rdb.Publish(ctx, channel.name, "no-such-task").Err()
		})
		r.may("permissions on channels", channel.rule+" +subscribe", func() error {
			subscription := r.rdb.Subscribe(ctx, channel.name)
			_, err := subscription.Receive(ctx)
			return errors.Join(err, subscription.Close())
		})
	}
	r.may("permissions for commands", "+multi +exec", func() error {
		_, err := r.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Exists(ctx, "rollcall:"+tag+"text")
			return nil
		})
		return err
	})
	r.may("permissions for commands", "+client|setname", func() error { return r.rdb.Do(ctx, "client", "setname", "rollcall-check").Err() })
	r.may("permissions for commands", "+wait", func() error { return r.rdb.Do(ctx, "wait", 0, 1).Err() })
	if cluster, ok := r.rdb.(*redis.ClusterClient); ok {
		r.may("permissions for commands", "+cluster|info +cluster|nodes +cluster|keyslot", func() error {
			return errors.Join(cluster.ClusterInfo(ctx).Err(), cluster.ClusterNodes(ctx).Err(), cluster.ClusterKeySlot(ctx, tag).Err())
		})
	}
	if len(r.findings) == before {
		r.found(fine, "the user has all permissions of a worker")
	}
}

// schema checks that no newer, incompatible version of rollcall has used this Redis.
func (r *redisTry) schema(ctx context.Context) {
	version, err := ledger.New(r.rdb).Fits(ctx)
	if err != nil {
		r.found(problem, "%v", err)
		return
	}
	if version > 0 {
		r.found(fine, "schema %d in Redis is compatible with this version of rollcall", version)
	}
}

func (r *redisTry) script(ctx context.Context, prefix, own string) {
	keys := []string{own + "text", own + "list", own + "hash", own + "set", own + "sorted", own + "stream"}
	// A script is sent as text the first time, then by its digest.
	script := redis.NewScript(checkACLLua)
	refused, err := script.Eval(ctx, r.rdb, keys).StringSlice()
	if err == nil {
		err = script.EvalSha(ctx, r.rdb, keys).Err()
	}
	switch {
	case err == nil && len(refused) > 0:
		r.found(problem, "the user may not use %s within scripts; add +%s", strings.Join(refused, ", "), strings.Join(refused, " +"))
	case err != nil && strings.Contains(err.Error(), " key"):
		r.found(problem, "the user may not use keys that begin with %s; add ~%s* (%v)", prefix, prefix, err)
	case err != nil && strings.HasPrefix(err.Error(), "NOPERM"):
		r.found(problem, "the user may not run scripts; add +eval +evalsha (%v)", err)
	case err != nil:
		r.found(problem, "a command of a worker fails: %v", err)
	}
}

func (r *redisTry) may(what, rule string, try func() error) {
	err := try()
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "NOPERM"):
		r.found(problem, "the user lacks %s; add %s (%v)", what, rule, err)
	default:
		r.found(problem, "a command of a worker fails: %v", err)
	}
}
