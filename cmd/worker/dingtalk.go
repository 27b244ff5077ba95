package main

import (
	"time"

	"rollcall/internal/config"
	"rollcall/internal/handler"
	"rollcall/internal/source/contacts"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

func connectDingTalk(t *config.Tenant) (connection, error) {
	app := t.DingTalk
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: t.Name, AppKey: app.AppKey, AppSecret: app.AppSecret.Value, API: app.API, OAPI: app.OAPI,
		Timeout: time.Duration(app.Timeout),
	})
	if err != nil {
		return connection{}, err
	}
	return connection{
		client: client, probe: client.CheckToken, ask: client.AskToken,
		app:         &contactsApp{client: client, pace: contacts.NewEvenPace(contactsPerSecond)},
		resendAfter: time.Duration(app.IDResendAfter), lateResendAfter: time.Duration(app.LateResendAfter),
		handlers: map[tasks.Kind]func(handler.Env) handler.Func{
			tasks.KindNickname: func(e handler.Env) handler.Func { return handler.Nickname(e, client) },
			tasks.KindGroup:    func(e handler.Env) handler.Func { return handler.Group(e, client) },
			tasks.KindID:       func(e handler.Env) handler.Func { return handler.ID(e, client) },
		},
	}, nil
}
