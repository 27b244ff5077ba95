package runs_test

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/redis/go-redis/v9"

	"rollcall/runs"
	"rollcall/tasks"
)

// Rename two people, and report what became of each.
func Example() {
	client, err := runs.New(runs.Config{Redis: &redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	if err := rename(context.Background(), client, os.Stdout); err != nil {
		fmt.Println(err)
	}
}

func rename(ctx context.Context, client *runs.Client, out io.Writer) error {
	made, err := client.Create(ctx, runs.Draft{Name: "class-7a", Author: "registrar"})
	if err != nil {
		return err
	}
	rows := []runs.Row{
		{Request: tasks.Request{Task: tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u1", Nickname: "7A 黄勇"}}},
		{Request: tasks.Request{Task: tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u2", Nickname: "7A 李涛"}}},
	}
	if _, err := client.Add(ctx, made.ID, 0, rows); err != nil {
		return err
	}
	if _, err := client.Seal(ctx, made.ID, len(rows)); err != nil {
		return err
	}
	planned, err := client.Plan(ctx, made.ID, nil)
	if err != nil {
		return err
	}
	for row, err := range client.Rows(ctx, made.ID) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, row.Number, row.Decision, row.Values)
	}
	applied, err := client.Apply(ctx, made.ID, planned.Plan.Digest, "registrar")
	if err != nil {
		return err
	}
	if applied.State == runs.StateHeld {
		return fmt.Errorf("somebody must approve it: %s", applied.Reason)
	}
	if _, err := client.Wait(ctx, made.ID); err != nil {
		return err
	}
	for row, err := range client.Results(ctx, made.ID) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, row.Number, row.Outcome, row.Message)
	}
	return nil
}

// Take a run back, and see what that did to each row.
func Example_undo() {
	client, err := runs.New(runs.Config{Redis: &redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	if err := undo(context.Background(), client, "class-7a", os.Stdout); err != nil {
		fmt.Println(err)
	}
}

func undo(ctx context.Context, client *runs.Client, name string, out io.Writer) error {
	id, err := client.Find(ctx, name)
	if err != nil {
		return err
	}
	undo, err := client.Undo(ctx, id, runs.Draft{Author: "registrar"})
	if err != nil {
		return err
	}
	if undo, err = client.Plan(ctx, undo.ID, nil); err != nil {
		return err
	}
	if _, err := client.Apply(ctx, undo.ID, undo.Plan.Digest, "registrar"); err != nil {
		return err
	}
	if _, err := client.Wait(ctx, undo.ID); err != nil {
		return err
	}
	for row, err := range client.Verify(ctx, undo.ID) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, row.Number, row.Verdict, row.Why)
	}
	return nil
}
