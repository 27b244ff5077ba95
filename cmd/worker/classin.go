package main

import (
	"time"

	"rollcall/internal/config"
	"rollcall/internal/handler"
	"rollcall/providers/classin"
	"rollcall/tasks"
)

func connectClassIn(t *config.Tenant) (connection, error) {
	school := t.ClassIn
	client, err := classin.New(classin.Config{
		Tenant: t.Name, SID: school.SID, Secret: school.Secret.Value, BaseURL: school.BaseURL, Timeout: time.Duration(school.Timeout),
	})
	if err != nil {
		return connection{}, err
	}
	return connection{
		client: client,
		handlers: map[tasks.Kind]func(handler.Env) handler.Func{
			tasks.KindCourse:  func(e handler.Env) handler.Func { return handler.Course(e, client) },
			tasks.KindStudent: func(e handler.Env) handler.Func { return handler.Student(e, client) },
		},
	}, nil
}
