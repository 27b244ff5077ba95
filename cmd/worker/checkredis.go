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

// oldest is the least Redis version, 6.2: the scripts use what came with it.
const oldestMajor, oldestMinor = 6, 2

//go:embed checkacl.lua
var checkACLLua string

// redisTry gathers what is found out about one Redis.
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
		r.found(notTried, "it begins and ends with the worker")
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
		r.found(problem, "the Cluster does not tell its masters: %v", err)
	}
	r.permissions(ctx)
	r.schema(ctx)
	return r.findings
}

func whyNoAnswer(err error) string {
	switch text := err.Error(); {
	case strings.HasPrefix(text, "WRONGPASS"):
		return "refuses the user or the password; compare redis.username and redis.password with the server's ACL"
	case strings.HasPrefix(text, "NOAUTH"):
		return "asks for a password; add redis.password"
	case strings.HasPrefix(text, "NOPERM"):
		return "lets the user in, but not even PING; see the permissions in docs/redis.md"
	default:
		return "does not answer: " + text
	}
}

// server judges one server by what INFO tells of it.
func (r *redisTry) server(ctx context.Context, node redis.Cmdable) {
	info, err := node.Info(ctx).Result()
	if err != nil {
		r.found(warning, "does not tell its version, eviction and persistence (INFO: %v); give the user +info, "+
			"or see for yourself: 6.2 or later, maxmemory-policy noeviction, appendonly yes", err)
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
		r.found(warning, "%s does not tell its version; it must be 6.2 or later", name)
	case !recent(version):
		r.found(problem, "%s is of version %s; rollcall needs %d.%d or later", name, version, oldestMajor, oldestMinor)
	default:
		r.found(fine, "%s is of version %s", name, version)
	}
	if policy := facts["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		r.found(problem, "%s throws keys away when its memory is full (maxmemory-policy %s), and with them tasks and what was done; "+
			"set maxmemory-policy noeviction", name, policy)
	}
	if facts["aof_enabled"] == "0" {
		r.found(warning, "%s keeps no append-only file: a restart loses what came since its last snapshot, or everything; "+
			"set appendonly yes", name)
	}
	if facts["aof_last_write_status"] == "err" || facts["rdb_last_bgsave_status"] == "err" {
		r.found(problem, "%s could not write to its disk the last time; see its log", name)
	}
	if facts["role"] == "slave" {
		r.found(problem, "%s is a replica, which takes no writes; name its master, or its sentinels under redis.sentinel", name)
	}
}

func recent(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	m, err := strconv.Atoi(major)
	n, minorErr := strconv.Atoi(minor)
	return err == nil && minorErr == nil && (m > oldestMajor || m == oldestMajor && n >= oldestMinor)
}

// permissions does what a worker does, on keys that nobody else has, and says
// which right is missing.
func (r *redisTry) permissions(ctx context.Context) {
	before := len(r.findings)
	tag := "{check:" + uuid.NewString() + "}:"
	for _, prefix := range []string{"asynq:", "rollcall:"} {
		r.script(ctx, prefix, prefix+tag)
	}
	// What asynq says of tasks to be cancelled, and we of pauses. Nobody knows this
	// task, or a lane of that name.
	for _, channel := range []struct{ name, rule string }{{"asynq:cancel", "&asynq:cancel"}, {"rollcall:pace", "&rollcall:*"}} {
		r.may("rights on channels", channel.rule+" +publish", func() error {
			return r.rdb.Publish(ctx, channel.name, "no-such-task").Err()
		})
		r.may("rights on channels", channel.rule+" +subscribe", func() error {
			subscription := r.rdb.Subscribe(ctx, channel.name)
			_, err := subscription.Receive(ctx)
			return errors.Join(err, subscription.Close())
		})
	}
	r.may("rights to commands", "+multi +exec", func() error {
		_, err := r.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Exists(ctx, "rollcall:"+tag+"text")
			return nil
		})
		return err
	})
	if len(r.findings) == before {
		r.found(fine, "the user may do what a worker does")
	}
}

// schema sees whether a newer version has been here that this one cannot work
// beside.
func (r *redisTry) schema(ctx context.Context) {
	version, err := ledger.New(r.rdb).Fits(ctx)
	if err != nil {
		r.found(problem, "%v", err)
		return
	}
	if version > 0 {
		r.found(fine, "the record of schema %d fits this version of rollcall", version)
	}
}

func (r *redisTry) script(ctx context.Context, prefix, own string) {
	keys := []string{own + "text", own + "list", own + "hash", own + "set", own + "sorted", own + "stream"}
	// A script goes by its text the first time, by its digest from then on.
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
		r.found(problem, "does not do what a worker asks of it: %v", err)
	}
}

func (r *redisTry) may(what, rule string, try func() error) {
	err := try()
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "NOPERM"):
		r.found(problem, "the user lacks %s; add %s (%v)", what, rule, err)
	default:
		r.found(problem, "does not do what a worker asks of it: %v", err)
	}
}
