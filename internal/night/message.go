package night

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// messageKept is how long it is known that a night had its message: longer than any night
// waits for an approval.
const messageKept = 60 * 24 * time.Hour

func messageKey(schedule string, tick time.Time, by string) string {
	return key(schedule, "message:"+by+":"+strconv.FormatInt(tick.Unix(), 10))
}

// ClaimMessage takes the right to send the one message of a night by a channel, such as a
// robot. It reports false if the night has had it: a message costs a part of a quota. The
// message may be lost with the worker that claimed it.
func (s *Service) ClaimMessage(ctx context.Context, schedule string, tick time.Time, by string) (bool, error) {
	first, err := s.rdb.SetNX(ctx, messageKey(schedule, tick, by), 1, messageKept).Result()
	if err != nil {
		return false, fmt.Errorf("claim the message of schedule %s: %w", schedule, err)
	}
	return first, nil
}

// ReturnMessage gives the right back: the message was provably not sent.
func (s *Service) ReturnMessage(ctx context.Context, schedule string, tick time.Time, by string) error {
	if err := s.rdb.Del(ctx, messageKey(schedule, tick, by)).Err(); err != nil {
		return fmt.Errorf("return the message of schedule %s: %w", schedule, err)
	}
	return nil
}

// Markdown is the report as a message of a chat.
func (r Report) Markdown(l Language, zone *time.Location) (title, text string) {
	title = r.Title(l, zone)
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", title)
	for _, why := range r.Decisions(l) {
		fmt.Fprintf(&b, "- **%s%s**\n", l.Of("to decide: ", "需要决定："), why)
	}
	for _, line := range r.Lines(l, zone) {
		fmt.Fprintf(&b, "- %s%s%s\n", line.Label, l.Of(": ", "："), line.Text)
	}
	fmt.Fprintf(&b, "\n> rollcall schedule report %s --night %s", r.Schedule, field(r.Tick))
	if r.Run != "" {
		fmt.Fprintf(&b, "\n>\n> rollcall run show %s", r.Run)
	}
	return title, b.String()
}
