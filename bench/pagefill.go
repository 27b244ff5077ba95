package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
	runs "rollcall/internal/run"
	"rollcall/tasks"
)

// pageSize is how much the Redis of the pages holds.
type pageSize struct {
	lanes   int
	runs    int // half of them applied
	rows    int // of each run
	dead    int
	pending int // in the queue of each lane
	targets int
}

// pageKinds are the lanes of a tenant.
var pageKinds = []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindID}

// laneOf is the nth lane. Each tenant is an organisation of its own.
func laneOf(n int) registry.Lane {
	name := fmt.Sprintf("school-%03d", n/len(pageKinds))
	return registry.Lane{Organisation: name, Tenant: name, Kind: pageKinds[n%len(pageKinds)]}
}

// fillPages fills a Redis through the packages that do so in a worker. It returns the paths of
// the pages of pageNames.
func fillPages(ctx context.Context, s *store, size pageSize) (paths []string, err error) {
	lanes := make([]registry.Lane, size.lanes)
	for i := range lanes {
		lanes[i] = laneOf(i)
	}
	if err := registry.Publish(ctx, s.rdb, lanes); err != nil {
		return nil, err
	}
	service := runs.New(runs.Config{Redis: s.rdb, Ledger: ledger.New(s.rdb)})
	err = errors.Join(
		together(ctx, 0, size.lanes, func(ctx context.Context, i int) error { return openLane(ctx, s, lanes[i], size.pending) }),
		together(ctx, 0, size.targets, func(ctx context.Context, i int) error { return settleOf(ctx, s, i) }),
		together(ctx, 0, size.dead, func(ctx context.Context, i int) error { return die(ctx, s, lanes, i) }),
		together(ctx, 0, 1_000, func(ctx context.Context, i int) error {
			return audit.Write(ctx, s.rdb, audit.Event{Event: "hold.put", Level: audit.Lane, Name: laneOf(i).Tenant, Reason: "bench", By: "user:" + pageUser})
		}),
		together(ctx, 0, size.runs, func(ctx context.Context, i int) error { return addRun(ctx, service, i, size.rows) }),
	)
	if err != nil {
		return nil, err
	}
	planned, err := service.List(ctx, runs.Filter{N: size.runs})
	if err != nil {
		return nil, err
	}
	for _, some := range planned[:len(planned)/2] {
		if _, err := service.Apply(ctx, some.ID, some.Plan.Digest, "bench"); err != nil {
			return nil, err
		}
	}
	first, dead := task(0), deadOf(lanes, 0)
	return []string{
		"/", "/runs", "/runs?before=" + url.QueryEscape(planned[len(planned)*4/5].Created.Format(time.RFC3339Nano)), "/runs/" + planned[0].ID,
		"/dead-letters", "/dead-letters/cause?" + url.Values{"lane": {dead.Lane}, "class": {dead.Class}, "code": {dead.Code}}.Encode(),
		"/dead-letters/task?" + url.Values{"lane": {dead.Lane}, "id": {dead.ID}}.Encode(),
		"/search?q=user00000", "/targets/" + laneOf(0).Tenant + "/nickname?target=" + url.QueryEscape(first.ChatID+"/"+first.UserID),
		"/schedules", "/audit",
	}, nil
}

// openLane gives a lane a pace, a call and tasks that wait.
func openLane(ctx context.Context, s *store, l registry.Lane, pending int) error {
	p := pace.New(s.rdb, pace.Config{
		Organisation: l.Organisation, Name: registry.Queue(l.Tenant, l.Kind, false), Limits: []pace.Limit{outOfReach}, Metered: true,
		Quota: pace.Quota{Calls: 5_000, Reserve: 200, Warn: 4_000},
	})
	defer p.Close()
	if err := p.Open(ctx); err != nil {
		return err
	}
	if _, err := p.Wait(ctx, false); err != nil {
		return err
	}
	requests := make([]tasks.Request, pending)
	for i := range requests {
		one := task(i)
		one.Tenant = l.Tenant
		requests[i] = tasks.Request{Task: one}
		switch l.Kind {
		case tasks.KindGroup:
			requests[i].Task = tasks.GroupUpdate{Tenant: l.Tenant, ChatID: one.UserID, Name: one.Nickname}
		case tasks.KindID:
			requests[i].Task = tasks.IDChange{Tenant: l.Tenant, UserID: one.UserID, DingTalkID: fmt.Sprintf("zhangsan%d", i)}
		}
	}
	for _, r := range s.clients.ours.EnqueueAll(ctx, requests) {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

// settleOf is settle for a target of the first school.
func settleOf(ctx context.Context, s *store, n int) error {
	one := task(n)
	one.Tenant = laneOf(0).Tenant
	return settleTask(ctx, ledger.New(s.rdb), one, n)
}

// deadOf is the nth dead letter: five causes in each lane, died over the last two days.
func deadOf(lanes []registry.Lane, n int) ledger.DeadLetter {
	l, cause := lanes[n%len(lanes)], n/len(lanes)%5
	died := time.Now().Add(-time.Duration(n%2880) * time.Minute)
	one := task(n)
	return ledger.DeadLetter{
		ID: fmt.Sprintf("%08d-5b6f-4f3e-9f6a-0d0cd8f08ac5", n), Lane: registry.Queue(l.Tenant, l.Kind, false), Tenant: l.Tenant, Kind: string(l.Kind),
		Organisation: l.Organisation, Type: kinds.TypeOf(l.Kind), Target: one.ChatID + "/" + one.UserID, Revision: died.UnixMicro(),
		Class: "rejected", Code: strconv.Itoa(40035 + cause), Message: "no such user", RequestID: "15r", First: died.Add(-time.Minute), Last: died,
	}
}

func die(ctx context.Context, s *store, lanes []registry.Lane, n int) error {
	d := deadOf(lanes, n)
	one := task(n)
	one.Tenant = d.Tenant
	var err error
	if _, d.Payload, err = kinds.Encode(one, d.Revision); err != nil {
		return err
	}
	_, err = ledger.New(s.rdb).AddDeadLetterOnce(ctx, d)
	return err
}

// addRun makes and plans a run of new names for one school.
func addRun(ctx context.Context, service *runs.Service, n, size int) error {
	made, err := service.Create(ctx, runs.Draft{Name: fmt.Sprintf("class-%d", n), Author: pageUser})
	if err != nil {
		return err
	}
	rows := make([]runs.Row, size)
	for i := range rows {
		one := task(i)
		one.Tenant, one.ChatID = laneOf(n).Tenant, fmt.Sprintf("chat-of-%d", n)
		rows[i] = runs.Row{Line: i + 2, Request: tasks.Request{Task: one}}
	}
	for in := 0; in < size; {
		if in, err = service.Add(ctx, made.ID, in, rows[in:min(size, in+runs.MaxAdd)]); err != nil {
			return err
		}
	}
	if _, err := service.Seal(ctx, made.ID, size); err != nil {
		return err
	}
	_, err = service.Plan(ctx, made.ID, nil)
	return err
}
