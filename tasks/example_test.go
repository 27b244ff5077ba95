package tasks_test

import (
	"errors"
	"fmt"

	"rollcall/tasks"
)

func ExampleNicknameSync_Validate() {
	task := tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat 1", Nickname: "张三"}
	err := task.Validate(tasks.Limits{})
	if invalid, ok := errors.AsType[*tasks.ValidationError](err); ok {
		for _, p := range invalid.Problems {
			fmt.Println(p.Field, p.What)
		}
	}
	// Output:
	// chat_id holds a space or control character
	// user_id is missing
}

func ExampleEncode() {
	task := tasks.GroupUpdate{
		Tenant: "lakeside-dt", ChatID: "chat1", Name: "三年二班",
		Options: tasks.GroupOptions{Searchable: new(0)},
	}
	typename, payload, err := tasks.Encode(task, 1763762142000000)
	fmt.Println(typename, string(payload), err)
	// Output:
	// group:update {"v":1,"rev":1763762142000000,"tenant":"lakeside-dt","chat_id":"chat1","name":"三年二班","options":{"searchable":0}} <nil>
}
