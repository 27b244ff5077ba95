package producer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/redis/go-redis/v9"

	"rollcall/producer"
	"rollcall/tasks"
)

func Example() {
	client, err := producer.New(producer.Config{Redis: &redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}}})
	if err != nil {
		log.Fatal(err)
	}
	result, err := client.Enqueue(context.Background(), tasks.NicknameSync{
		Tenant: "lakeside-dt", ChatID: "chat3929f", UserID: "u1", Nickname: "张三",
	}, tasks.Options{Key: "rename-u1-2026"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Outcome, result.TaskID, result.Queue)
	if err := client.Close(); err != nil {
		log.Fatal(err)
	}
}
