// Package roster reads files that say who is to be called what: from a CSV file
// to rows, from rows to tasks, with every problem at its line and column. It is
// where the plan will live that compares a roster with what was applied.
//
// It must not know Redis, queues or platforms, nor where a file comes from and
// when: it is given a reader and a time.
package roster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/tasks"
)

// Row is one task of a file.
type Row struct {
	// Line is where the row begins in its file, from 1.
	Line int
	// Request is the task with its options. Its Task is nil where the row does
	// not even say of which kind it is.
	Request tasks.Request
	// Problems are those of the row's form. The task itself is not judged.
	Problems []tasks.Problem

	kind tasks.Kind
}

// Refusal returns a [*tasks.ValidationError] with everything wrong with a row
// that is badly formed, the problems of its task too. It is nil for one that is
// well formed: that one's task is judged by whoever stores it.
func (r Row) Refusal(limits tasks.Limits) error {
	if len(r.Problems) == 0 {
		return nil
	}
	all := &tasks.ValidationError{Kind: r.kind, Problems: slices.Clone(r.Problems)}
	if r.Request.Task != nil {
		if more, ok := errors.AsType[*tasks.ValidationError](r.Request.Validate(limits)); ok {
			all.Problems = append(all.Problems, more.Problems...)
		}
	}
	return all
}

// Place says where in a row a problem stands: "the row", "column searchable",
// "column add_user_ids, entry 2".
func Place(p tasks.Problem) string {
	if p.Field == "" {
		return "the row"
	}
	name, index, listed := strings.Cut(strings.TrimPrefix(p.Field, "options."), "[")
	var i int
	if listed {
		if _, err := fmt.Sscanf(index, "%d]", &i); err == nil {
			return fmt.Sprintf("column %s, entry %d", name, i+1)
		}
	}
	return "column " + name
}

// Switch is one of the options of a group that is 0, 1 or left alone.
type Switch struct {
	Column string // "searchable"
	// Value is where a group's options hold it.
	Value func(*tasks.GroupOptions) **int
}

// Switches lists the options of a group, in the order of their columns.
func Switches() []Switch {
	return []Switch{
		{"mention_all_authority", func(o *tasks.GroupOptions) **int { return &o.MentionAllAuthority }},
		{"show_history_type", func(o *tasks.GroupOptions) **int { return &o.ShowHistoryType }},
		{"validation_type", func(o *tasks.GroupOptions) **int { return &o.ValidationType }},
		{"searchable", func(o *tasks.GroupOptions) **int { return &o.Searchable }},
		{"chat_banned_type", func(o *tasks.GroupOptions) **int { return &o.ChatBannedType }},
		{"management_type", func(o *tasks.GroupOptions) **int { return &o.ManagementType }},
	}
}

// Columns lists the columns of each kind, besides those that all rows have. It
// is nil for a kind that does not exist.
func Columns(kind tasks.Kind) []string {
	switch kind {
	case tasks.KindNickname:
		return []string{"chat_id", "user_id", "nickname"}
	case tasks.KindCourse:
		return []string{"course_id"}
	case tasks.KindID:
		return []string{"user_id", "dingtalk_id", "alternatives"}
	case tasks.KindGroup:
		names := []string{
			"chat_id", "name", "owner", "owner_type", "icon",
			"add_user_ids", "del_user_ids", "add_ext_ids", "del_ext_ids",
		}
		for _, s := range Switches() {
			names = append(names, s.Column)
		}
		return names
	}
	return nil
}

// CommonColumns lists the columns that rows of every kind have.
func CommonColumns() []string {
	return []string{"kind", "tenant", "key", "urgent", "at", "source", "number"}
}

var errTime = errors.New("is neither a time such as 2026-03-01T08:00:00+08:00 nor a delay such as +10m")

// ParseAt reads a time in RFC 3339, or a delay from now such as +10m. Empty is
// the zero time: at once.
func ParseAt(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if delay, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(delay)
		if err != nil || d < 0 {
			return time.Time{}, errTime
		}
		return now.Add(d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errTime
	}
	return at, nil
}
