package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall/tasks"
)

// maxFile bounds a CSV file, in bytes: some 500,000 rows.
const maxFile = 64 << 20

// row is one task of a file.
type row struct {
	line     int
	request  tasks.Request
	problems []tasks.Problem // with its form; the task is not judged yet
}

// columns lists the columns of each kind, besides those that all rows have.
func columns(kind tasks.Kind) []string {
	switch kind {
	case tasks.KindNickname:
		return []string{"chat_id", "user_id", "nickname"}
	case tasks.KindCourse:
		return []string{"course_id"}
	case tasks.KindID:
		return []string{"user_id", "dingtalk_id", "alternatives"}
	case tasks.KindGroup:
		names := []string{"chat_id", "name", "owner", "owner_type", "icon",
			"add_user_ids", "del_user_ids", "add_ext_ids", "del_ext_ids"}
		for _, s := range groupSwitches() {
			names = append(names, s.column)
		}
		return names
	}
	return nil
}

func commonColumns() []string { return []string{"kind", "tenant", "key", "urgent", "at"} }

// readRows reads a whole file. An error means that nothing of it can be
// trusted, e.g. that it is in another encoding; a bad row has problems instead.
func readRows(r io.Reader, defaults tasks.Options, now time.Time) ([]row, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("it has more than %d MiB: split it", maxFile>>20)
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	line := 0
	for text := range bytes.Lines(content) {
		if line++; !utf8.Valid(text) {
			return nil, fmt.Errorf("line %d is not valid UTF-8: save the file as UTF-8 (in Excel: \"CSV UTF-8\")", line)
		}
	}
	reader := csv.NewReader(bytes.NewReader(content))
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty: the first line names the columns")
	}
	if err != nil {
		return nil, csvFault(err)
	}
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	var rows []row
	for {
		cells, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, csvFault(err)
		}
		// A spreadsheet leaves such lines behind.
		if !slices.ContainsFunc(cells, func(cell string) bool { return cell != "" }) {
			continue
		}
		line, _ := reader.FieldPos(0)
		rows = append(rows, newRow(line, header, cells, defaults, now))
	}
}

func csvFault(err error) error {
	if fault, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d, character %d: %w: a cell that holds a comma, a quote or a line break stands in quotes, and a quote in it twice",
			fault.Line, fault.Column, fault.Err)
	}
	return err
}

func checkHeader(header []string) error {
	known := commonColumns()
	for _, kind := range tasks.Kinds() {
		known = append(known, columns(kind)...)
	}
	for i, name := range header {
		if !slices.Contains(known, name) {
			slices.Sort(known)
			return fmt.Errorf("line 1: column %d, %.40q, is not known: known are %s", i+1, name, strings.Join(slices.Compact(known), ", "))
		}
		if slices.Contains(header[:i], name) {
			return fmt.Errorf("line 1: column %s stands there twice", name)
		}
	}
	for _, name := range []string{"kind", "tenant"} {
		if !slices.Contains(header, name) {
			return fmt.Errorf("line 1: column %s is missing", name)
		}
	}
	return nil
}

// cells are one row's, by column, with the problems that reading them finds.
type cells struct {
	values   map[string]string
	problems []tasks.Problem
}

func (c *cells) fault(column, what string) {
	c.problems = append(c.problems, tasks.Problem{Field: column, What: what})
}

func (c *cells) list(column string) []string {
	if c.values[column] == "" {
		return nil
	}
	return strings.Split(c.values[column], ";")
}

func newRow(line int, header, values []string, defaults tasks.Options, now time.Time) row {
	c := &cells{values: make(map[string]string, len(values))}
	if len(values) != len(header) {
		c.fault("", fmt.Sprintf("has %d cells, the header has %d", len(values), len(header)))
		return row{line: line, problems: c.problems}
	}
	for i, name := range header {
		c.values[name] = values[i]
	}
	kind := tasks.Kind(c.values["kind"])
	own := columns(kind)
	if own == nil {
		c.fault("kind", "must be nickname, course, group or id")
		return row{line: line, problems: c.problems}
	}
	for _, name := range header {
		if c.values[name] != "" && !slices.Contains(own, name) && !slices.Contains(commonColumns(), name) {
			c.fault(name, fmt.Sprintf("does not belong to a %s task: leave it empty", kind))
		}
	}
	request := tasks.Request{Task: c.task(kind), Options: c.options(defaults, now)}
	return row{line: line, request: request, problems: c.problems}
}

func (c *cells) options(o tasks.Options, now time.Time) tasks.Options {
	o.Key = c.values["key"]
	switch c.values["urgent"] {
	case "":
	case "1", "true", "yes":
		o.Urgent = true
	case "0", "false", "no":
		o.Urgent = false
	default:
		c.fault("urgent", "must be 1, true or yes, or 0, false or no, or empty")
	}
	if at := c.values["at"]; at != "" {
		var err error
		if o.At, err = parseAt(at, now); err != nil {
			c.fault("at", err.Error())
		}
	}
	return o
}

func (c *cells) task(kind tasks.Kind) tasks.Task {
	v := c.values
	switch kind {
	case tasks.KindNickname:
		return tasks.NicknameSync{Tenant: v["tenant"], ChatID: v["chat_id"], UserID: v["user_id"], Nickname: v["nickname"]}
	case tasks.KindCourse:
		return tasks.CourseSync{Tenant: v["tenant"], CourseID: v["course_id"]}
	case tasks.KindID:
		return tasks.IDChange{Tenant: v["tenant"], UserID: v["user_id"], DingTalkID: v["dingtalk_id"], Alternatives: c.list("alternatives")}
	}
	group := tasks.GroupUpdate{Tenant: v["tenant"], ChatID: v["chat_id"], Name: v["name"], Owner: v["owner"],
		OwnerType: v["owner_type"], Icon: v["icon"], AddUserIDs: c.list("add_user_ids"), DelUserIDs: c.list("del_user_ids"),
		AddExtIDs: c.list("add_ext_ids"), DelExtIDs: c.list("del_ext_ids")}
	if group.Owner != "" && group.OwnerType == "" {
		group.OwnerType = tasks.OwnerEmployee
	}
	for _, s := range groupSwitches() {
		switch v[s.column] {
		case "":
		case "0":
			*s.value(&group.Options) = new(0)
		case "1":
			*s.value(&group.Options) = new(1)
		default:
			c.fault(s.column, "must be 0 or 1, or empty to leave it alone")
		}
	}
	return group
}
