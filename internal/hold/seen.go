package hold

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Seen is what a hold was put for, as far as a platform's answer was the reason.
// The zero value is nothing.
type Seen struct {
	Host   string    `json:"host,omitzero"`   // of the last answer; no port
	Status int       `json:"status,omitzero"` // HTTP; 0: no answer came
	Code   string    `json:"code,omitzero"`   // the platform's own
	First  time.Time `json:"first,omitzero"`
	Last   time.Time `json:"last,omitzero"`
	Count  int       `json:"count,omitzero"` // answers of all workers, from First to Last
}

// Text is what was seen, in one line, with its times in zone. Empty: nothing.
func (s Seen) Text(zone *time.Location) string {
	if s.Count == 0 || s.Last.IsZero() { // an event of dead letters has their count alone
		return ""
	}
	text := "no answer"
	if s.Status != 0 {
		text = fmt.Sprintf("HTTP %d", s.Status)
	}
	if s.Code != "" {
		text += ", code " + s.Code + ","
	}
	if s.Host != "" {
		text += " from " + s.Host
	}
	text = strings.TrimSuffix(text, ",")
	if s.Count == 1 {
		return text + ", once, at " + Moment(s.Last, zone)
	}
	return text + fmt.Sprintf(", %d times, first at %s, last at %s", s.Count, Moment(s.First, zone), Moment(s.Last, zone))
}

// Moment is a time with its zone, for a person: 2026-03-01 14:05:07 (Asia/Shanghai).
func Moment(t time.Time, zone *time.Location) string {
	t = t.In(zone)
	name := zone.String()
	if name == "Local" || name == "" {
		name = "UTC" + t.Format("-07:00")
	}
	return t.Format(time.DateTime) + " (" + name + ")"
}

// values are the fields of an event.
func (s Seen) values() []any {
	if s.Count == 0 {
		return nil
	}
	return []any{
		"host", s.Host, "status", s.Status, "code", s.Code,
		"first", s.First.Format(time.RFC3339Nano), "last", s.Last.Format(time.RFC3339Nano), "count", s.Count,
	}
}

func readSeen(text func(string) string) Seen {
	s := Seen{Host: text("host"), Code: text("code")}
	s.Status, _ = strconv.Atoi(text("status"))
	s.Count, _ = strconv.Atoi(text("count"))
	s.First, _ = time.Parse(time.RFC3339Nano, text("first"))
	s.Last, _ = time.Parse(time.RFC3339Nano, text("last"))
	return s
}
