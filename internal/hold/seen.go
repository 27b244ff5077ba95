package hold

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/audit"
)

// Seen is the evidence for a hold: the answers of the platform that were its reason.
// The zero value means none.
type Seen struct {
	Host   string    `json:"host,omitzero"`   // host of the last answer, without port
	Status int       `json:"status,omitzero"` // HTTP status; 0: no answer
	Code   string    `json:"code,omitzero"`   // the platform's error code
	First  time.Time `json:"first,omitzero"`  // answer
	Last   time.Time `json:"last,omitzero"`   // answer
	Count  int       `json:"count,omitzero"`  // number of answers, of all workers, from First to Last
}

// Text returns the evidence in one line, with its times in zone. Empty: none.
func (s Seen) Text(zone *time.Location) string {
	if s.Count == 0 || s.Last.IsZero() { // an event about dead letters has only a count
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

// Moment formats a time with its zone, for a person: 2026-03-01 14:05:07
// (Asia/Shanghai).
func Moment(t time.Time, zone *time.Location) string {
	t = t.In(zone)
	name := zone.String()
	if name == "Local" || name == "" {
		name = "UTC" + t.Format("-07:00")
	}
	return t.Format(time.DateTime) + " (" + name + ")"
}

// fields returns the fields of an event; nil for no evidence.
func (s Seen) fields() map[string]string {
	if s.Count == 0 {
		return nil
	}
	return map[string]string{
		"host": s.Host, "status": strconv.Itoa(s.Status), "code": s.Code,
		"first": s.First.Format(time.RFC3339Nano), "last": s.Last.Format(time.RFC3339Nano), "count": strconv.Itoa(s.Count),
	}
}

// SeenIn returns the evidence in an event about a hold.
func SeenIn(e audit.Event) Seen {
	s := Seen{Host: e.More["host"], Code: e.More["code"]}
	s.Status, _ = strconv.Atoi(e.More["status"])
	s.Count, _ = strconv.Atoi(e.More["count"])
	s.First, _ = time.Parse(time.RFC3339Nano, e.More["first"])
	s.Last, _ = time.Parse(time.RFC3339Nano, e.More["last"])
	return s
}
