package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/secret"
	"rollcall/tasks"
)

// produce does all that a producer does, under names of its own. A fault does not end it.
func produce(ctx context.Context, t *testing.T, d *redistest.Deployment, name string) error {
	t.Helper()
	options, err := redisdb.Config{URL: secret.New(d.ProducerURL()), ClientName: "producer"}.Options()
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries = -1
	client, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	rdb := redisdb.New(options)
	defer rdb.Close()
	admin := d.Client(t)
	book := ledger.New(rdb)
	_, _, began := book.RunBegan(ctx, "lakeside", "nickname", ledger.RunName{Tenant: tenant, Run: name})
	all := errors.Join(began, rdb.Ping(ctx).Err())
	user := func(i int) string { return fmt.Sprint(name, i) }
	requests := []tasks.Request{
		{Task: nick(user(1), "A"), Options: tasks.Options{Run: name, Key: name + "-1", Source: "crm", Number: 7}},
		{Task: nick(user(2), "A"), Options: tasks.Options{Run: name, Urgent: true}},
		{Task: nick(user(3), "A"), Options: tasks.Options{At: time.Now().Add(time.Hour)}},
		{Task: tasks.GroupUpdate{Tenant: tenant, ChatID: name, AddUserIDs: []string{"u1"}}},
		{Task: tasks.IDChange{Tenant: tenant, UserID: user(1), DingTalkID: "abcdef"}},
		{Task: tasks.CourseSync{Tenant: tenant, CourseID: "561294"}},
	}
	for range 2 { // the second time the keys are known
		for _, r := range client.EnqueueAll(ctx, requests) {
			all = errors.Join(all, r.Err)
		}
	}
	for _, state := range []string{"archived", "retry"} {
		all = errors.Join(all, twice(ctx, client, admin, name+"-"+state, state))
	}
	// A damaged target is explained.
	if err := admin.Set(ctx, "rollcall:{lakeside/nickname}:target:chat1/"+user(9), "no hash", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	_, err = client.Enqueue(ctx, nick(user(9), "A"), tasks.Options{})
	if _, damaged := errors.AsType[*ledger.DamagedError](err); !damaged {
		all = errors.Join(all, fmt.Errorf("a damaged target: %w", err))
	}
	return all
}

// twice stores an edit for a caller that ends before it has recorded that, and again when
// the task has a state.
func twice(ctx context.Context, client *enqueue.Client, admin redis.UniversalClient, name, state string) error {
	edit, options := tasks.GroupUpdate{Tenant: tenant, ChatID: name, AddUserIDs: []string{"u1"}}, tasks.Options{Key: name}
	stored, err := client.Enqueue(ctx, edit, options)
	if err != nil {
		return err
	}
	key, task := "rollcall:key:"+tenant+":"+name, "asynq:{"+stored.Queue+"}:t:"+stored.TaskID
	record, err := admin.Get(ctx, key).Result()
	err = errors.Join(
		err, admin.Set(ctx, key, strings.Replace(record, `"stored"`, `"reserved"`, 1), time.Hour).Err(),
		admin.LRem(ctx, "asynq:{"+stored.Queue+"}:pending", 1, stored.TaskID).Err(),
		admin.ZAdd(ctx, "asynq:{"+stored.Queue+"}:"+state, redis.Z{Score: 1, Member: stored.TaskID}).Err(),
		admin.HSet(ctx, task, "state", state).Err(),
		admin.HDel(ctx, "rollcall:{lakeside/group}:tasks", stored.TaskID).Err(), // as after its end
	)
	if err != nil {
		return err
	}
	_, err = client.Enqueue(ctx, edit, options)
	return err
}

// The producers' user of docs/redis.md may do nothing that a producer does not do.
func TestAProducerNeedsEachRightOfItsUser(t *testing.T) {
	t.Parallel()
	d := redistest.Single(t)
	serveOn(t, d)
	if err := produce(t.Context(), t, d, "all"); err != nil {
		t.Fatalf("with all rights: %v", err)
	}
	if denied, err := d.Denied(t.Context()); err != nil || len(denied) > 0 {
		t.Fatalf("with all rights: denied %q, %v", denied, err)
	}
	for i, right := range strings.Fields(redistest.ProducerRules) {
		if right == "-@all" || right == "resetchannels" || redistest.OfCluster(right) {
			continue
		}
		rest := strings.Fields(redistest.ProducerRules)
		rest = append(rest[:i], rest[i+1:]...)
		d.Set(t, redistest.Producer, "resetkeys "+strings.Join(rest, " "))
		d.ForgetScripts(t)
		err := produce(t.Context(), t, d, fmt.Sprint("without-", i))
		denied, readErr := d.Denied(t.Context())
		if readErr != nil {
			t.Fatal(readErr)
		}
		if len(denied) == 0 {
			t.Errorf("without %s nothing is denied (%v): take it out", right, err)
		}
	}
	d.Set(t, redistest.Producer, "resetkeys "+redistest.ProducerRules)
}
