package main

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/runs"
	"rollcall/tasks"
)

// runRows is how many rows a run of the victim has: three blocks.
const runRows = 600

// applyRuns applies one run of the victim after another, so that there are keys of runs to
// damage. It expects no success.
func (f *feeder) applyRuns(ctx context.Context, options *redis.UniversalOptions) {
	client, err := runs.New(runs.Config{Redis: options})
	if err != nil {
		return
	}
	defer func() { _ = client.Close() }()
	for n := 0; ctx.Err() == nil; n++ {
		if err := f.applyRun(ctx, client, n); err != nil {
			pause(ctx, time.Second)
		}
	}
}

func (f *feeder) applyRun(ctx context.Context, client *runs.Client, n int) error {
	rows := make([]runs.Row, runRows)
	for i := range rows {
		rows[i].Request.Task = tasks.NicknameSync{
			Tenant: f.dingtalk(), ChatID: f.chats[i%len(f.chats)], UserID: f.pupils[i/len(f.chats)], Nickname: fmt.Sprintf("班%d号%d", n, i),
		}
	}
	made, err := client.Create(ctx, runs.Draft{Name: victim, Author: victim, Settings: runs.Settings{
		Allowed: []string{"allow-changes", "allow-suspicious", "allow-equal-names", "allow-lost-chinese"},
	}})
	if err != nil {
		return err
	}
	if _, err := client.Add(ctx, made.ID, 0, rows); err != nil {
		return err
	}
	if _, err := client.Seal(ctx, made.ID, runRows); err != nil {
		return err
	}
	if made, err = client.Plan(ctx, made.ID, nil); err != nil {
		return err
	}
	if _, err := client.Apply(ctx, made.ID, made.Plan.Digest, victim); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // a damaged one waits for its repair
	defer cancel()
	_, err = client.Wait(ctx, made.ID)
	return err
}

// runPatterns are the keys of the victim's runs: no other organisation has any.
var runPatterns = []string{"rollcall:{run:*", "asynq:{rollcall.runs}:t:*"}

// runExcuses are damages of keys of runs that need no name.
var runExcuses = []excuse{
	{regexp.MustCompile(`\{run:\*\}:(rows|plan|excluded)`), nil, anyManner, "read when the run reaches it; then the run waits and names it"},
	{regexp.MustCompile(`\{run:\*\}:run$`), regexp.MustCompile(`^(digest|planner|feeder|reason|by|progress|sealed|passed|wake|judged|history|fed.*)$`), inside, "any value is possible"},
	{regexp.MustCompile(`\{run:\*\}:run$`), regexp.MustCompile(`^(changed|applied|renewed|ended)$`), cut, "a shorter value is a value"},
	{regexp.MustCompile(`:details:`), nil, inside, "for people"},
	{regexp.MustCompile(`:floor$`), nil, inside, "one that is too far ahead is not used"},
}
