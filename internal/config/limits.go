package config

import (
	"strconv"
	"strings"
	"time"
)

// Day is the Per of a limit for a calendar day in Asia/Shanghai.
const Day = Duration(24 * time.Hour)

// How a platform counts the calls of a limit: the values of Limit.Window.
const (
	WindowUnknown = "unknown" // paced as sliding
	WindowSliding = "sliding"
	WindowFixed   = "fixed"
	WindowBucket  = "bucket"
)

// Limits apply all at once. Load gives each lane 1 to 4, each with another Per, at
// least one of them spaced.
type Limits []Limit

// String formats the limits as in 20 per 1s and 600 per 1m.
func (ls Limits) String() string {
	texts := make([]string, len(ls))
	for i, l := range ls {
		texts[i] = l.String()
	}
	return strings.Join(texts, " and ")
}

// Limit is a number of calls in a length of time.
type Limit struct {
	Calls  int      `yaml:"calls"`
	Per    Duration `yaml:"per"`
	Window string   `yaml:"window"`
	Burst  int      `yaml:"burst"` // calls that may leave back to back; less than Calls
}

// Daily reports whether the limit is for a calendar day: it is counted, not spaced.
func (l Limit) Daily() bool { return l.Per == Day }

// String formats the limit as in 20 per 1s, or 20 per 1s (fixed window, burst of 5).
func (l Limit) String() string {
	var more []string
	switch l.Window {
	case "", WindowUnknown:
	case WindowBucket:
		more = append(more, "bucket")
	default:
		more = append(more, l.Window+" window")
	}
	if l.Burst > 0 {
		more = append(more, "burst of "+strconv.Itoa(l.Burst))
	}
	text := strconv.Itoa(l.Calls) + " per " + l.Per.String()
	if len(more) > 0 {
		text += " (" + strings.Join(more, ", ") + ")"
	}
	return text
}
