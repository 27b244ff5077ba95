package runs_test

import (
	"context"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"rollcall/runs"
	"rollcall/tasks"
)

// Rename two people, and report what became of each.
func Example() {
	ctx := context.Background()
	client, err := runs.New(runs.Config{Redis: &redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	made, err := client.Create(ctx, runs.Draft{Name: "class-7a", Author: "registrar"})
	if err != nil {
		log.Fatal(err)
	}
	rows := []runs.Row{
		{Request: tasks.Request{Task: tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u1", Nickname: "7A 黄勇"}}},
		{Request: tasks.Request{Task: tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u2", Nickname: "7A 李涛"}}},
	}
	if _, err := client.Add(ctx, made.ID, 0, rows); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Seal(ctx, made.ID, len(rows)); err != nil {
		log.Fatal(err)
	}
	planned, err := client.Plan(ctx, made.ID, nil)
	if err != nil {
		log.Fatal(err)
	}
	for row, err := range client.Rows(ctx, made.ID) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.Number, row.Decision, row.Values)
	}
	applied, err := client.Apply(ctx, made.ID, planned.Plan.Digest, "registrar")
	if err != nil {
		log.Fatal(err)
	}
	if applied.State == runs.StateHeld {
		log.Fatalf("somebody must approve it: %s", applied.Reason)
	}
	if _, err := client.Wait(ctx, made.ID); err != nil {
		log.Fatal(err)
	}
	for row, err := range client.Results(ctx, made.ID) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.Number, row.Outcome, row.Message)
	}
}

// Take a run back, and see what that did to each row.
func Example_undo() {
	ctx := context.Background()
	client, err := runs.New(runs.Config{Redis: &redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	id, err := client.Find(ctx, "class-7a")
	if err != nil {
		log.Fatal(err)
	}
	undo, err := client.Undo(ctx, id, runs.Draft{Author: "registrar"})
	if err != nil {
		log.Fatal(err)
	}
	if undo, err = client.Plan(ctx, undo.ID, nil); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Apply(ctx, undo.ID, undo.Plan.Digest, "registrar"); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Wait(ctx, undo.ID); err != nil {
		log.Fatal(err)
	}
	for row, err := range client.Verify(ctx, undo.ID) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.Number, row.Verdict, row.Why)
	}
}
