package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/config"
	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/webhook"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
)

// robotTimeout bounds an exchange with a robot: below what a call of a webhook may take.
const robotTimeout = 10 * time.Second

// robotPrefix distinguishes robots from webhooks in queues, metrics and events. No name of
// a webhook has a slash.
const robotPrefix = "robot/"

// judgeRobots reports the problems of robots' webhooks and secrets.
func judgeRobots(c *config.Config, report func(err error, path ...any)) {
	for i, r := range c.Robots {
		if r.Webhook.Value.IsZero() || r.Secret.Value.IsZero() {
			continue // already reported
		}
		robot, err := newRobot(r)
		if err == nil {
			robot.Close()
		}
		report(err, "robots", i)
	}
}

func newRobot(r config.Robot) (*dingtalk.Robot, error) {
	return dingtalk.NewRobot(dingtalk.RobotConfig{Name: r.Name, URL: r.Webhook.Value, Secret: r.Secret.Value, Timeout: robotTimeout})
}

// robots returns the robots of a configuration as endpoints: their messages are stored and
// repeated like calls of webhooks.
func (w *worker) robots(cfg *config.Config) []webhook.Endpoint {
	var all []webhook.Endpoint
	for _, r := range cfg.Robots {
		quota := 0
		if org := cfg.Organisation(r.Organisation); org != nil { // nil: it is new, which needs a restart
			quota = org.Quota.Messages
		}
		all = append(all, webhook.Endpoint{
			Name: robotPrefix + r.Name, Events: []string{nightReport},
			Accepts: func(e webhook.Event) bool {
				report, is := e.Data.(night.Report)
				return is && (len(r.Schedules) == 0 || slices.Contains(r.Schedules, report.Schedule))
			},
			Deliver: func(ctx context.Context, _ string, body []byte) error { return w.write(ctx, r, quota, body) },
		})
	}
	return all
}

// write writes the report of a night to the group of a robot, unless the night has had its
// message.
func (w *worker) write(ctx context.Context, to config.Robot, quota int, body []byte) error {
	var event struct {
		Data night.Report `json:"data"`
	}
	if err := json.Unmarshal(body, &event); err != nil {
		return &webhook.DeliveryError{Final: true, Err: fmt.Errorf("the event is not that of a night: %w", err)}
	}
	r := event.Data
	first, err := w.nights.ClaimMessage(ctx, r.Schedule, r.Tick, to.Name)
	if err != nil {
		return err
	}
	if !first {
		w.log.Debug("no second message of a night", "robot", to.Name, "schedule", r.Schedule)
		return nil
	}
	month := ""
	err = w.send(ctx, to, r, func(ctx context.Context) error {
		if month != "" {
			return nil // a quick retry: the send before did not leave
		}
		var err error
		month, err = pace.BookMessage(ctx, w.rdb, to.Organisation, quota)
		return err
	})
	failed, is := errors.AsType[*providers.Error](err)
	switch {
	case err == nil:
		return nil
	case is && failed.MaybeApplied:
		return &webhook.DeliveryError{Final: true, Err: err}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), redisAsked)
	defer cancel()
	if month != "" {
		err = errors.Join(err, pace.ReturnMessage(ctx, w.rdb, to.Organisation, month))
	}
	err = errors.Join(err, w.nights.ReturnMessage(ctx, r.Schedule, r.Tick, to.Name))
	again := &webhook.DeliveryError{Err: err}
	if is {
		again.After, again.Final = failed.RetryAfter, failed.Kind == providers.Rejected
	}
	return again
}

// send sends the message. Its times are those of DingTalk.
func (w *worker) send(ctx context.Context, to config.Robot, r night.Report, gate providers.Gate) error {
	robot, err := newRobot(to)
	if err != nil {
		return err
	}
	defer robot.Close()
	title, text := r.Markdown(night.Language(to.Language), pace.Shanghai)
	_, err = robot.Send(ctx, gate, title, text)
	return err
}
