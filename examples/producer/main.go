// Command producer is a service of your own that enqueues tasks: it renames two
// members of a chat and prints what happened to each.
//
// Start a worker first (make run), then:
//
//	go run . 127.0.0.1:6390
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"rollcall/producer"
	"rollcall/tasks"
	"time"

	"github.com/redis/go-redis/v9"
)

func main() {
	address := "127.0.0.1:6390"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	if err := run(address); err != nil {
		fmt.Fprintln(os.Stderr, "producer:", err)
		os.Exit(1)
	}
}

func run(address string) error {
	client, err := producer.New(producer.Config{Redis: &redis.UniversalOptions{Addrs: []string{address}}})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	requests := []tasks.Request{
		rename("chat7Af3929", "u001", "张三（班长）"),
		rename("chat7Af3929", "u002", ""), // refused: the nickname is missing
	}
	stored := 0
	for i, result := range client.EnqueueAll(ctx, requests) {
		if result.Err == nil {
			stored++
			fmt.Printf("row %d: %s, task %s in %s\n", i+1, result.Outcome, result.TaskID, result.Queue)
			continue
		}
		if invalid, ok := errors.AsType[*tasks.ValidationError](result.Err); ok {
			for _, p := range invalid.Problems {
				fmt.Printf("row %d: %s: %s %s\n", i+1, result.Outcome, p.Field, p.What)
			}
			continue
		}
		return result.Err
	}
	fmt.Printf("%d of %d tasks stored\n", stored, len(requests))
	return nil
}

func rename(chat, user, nickname string) tasks.Request {
	return tasks.Request{
		Task: tasks.NicknameSync{Tenant: "lakeside-dingtalk", ChatID: chat, UserID: user, Nickname: nickname},
		// A request that is repeated with its key is stored once.
		Options: tasks.Options{Key: "example/" + user},
	}
}
