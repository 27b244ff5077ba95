package roster

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall/tasks"
)

// maxFile bounds a CSV file, in bytes: some 500,000 rows.
const maxFile = 64 << 20

// Read reads a whole file: UTF-8, comma-separated, its first line the names of
// the columns. Rows that do not say otherwise have the options of defaults;
// delays count from now.
//
// An error means that nothing of the file can be trusted, e.g. that it is in
// another encoding; a bad row has problems instead. It takes some three times
// the file's size in memory.
func Read(r io.Reader, defaults tasks.Options, now time.Time) ([]Row, error) {
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
	var rows []Row
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
	known := CommonColumns()
	for _, kind := range tasks.Kinds() {
		known = append(known, Columns(kind)...)
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

func newRow(line int, header, values []string, defaults tasks.Options, now time.Time) Row {
	c := &cells{values: make(map[string]string, len(values))}
	if len(values) != len(header) {
		c.fault("", fmt.Sprintf("has %d cells, the header has %d", len(values), len(header)))
		return Row{Line: line, Problems: c.problems}
	}
	for i, name := range header {
		c.values[name] = values[i]
	}
	kind := tasks.Kind(c.values["kind"])
	own := Columns(kind)
	if own == nil {
		c.fault("kind", "must be nickname, course, group or id")
		return Row{Line: line, Problems: c.problems}
	}
	for _, name := range header {
		if c.values[name] != "" && !slices.Contains(own, name) && !slices.Contains(CommonColumns(), name) {
			c.fault(name, fmt.Sprintf("does not belong to a %s task: leave it empty", kind))
		}
	}
	request := tasks.Request{Task: c.task(kind), Options: c.options(defaults, now)}
	return Row{Line: line, Request: request, Problems: c.problems, kind: kind}
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
		if o.At, err = ParseAt(at, now); err != nil {
			c.fault("at", err.Error())
		}
	}
	o.Source = c.values["source"]
	switch number := c.values["number"]; {
	case number != "":
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 || n > tasks.MaxNumber {
			c.fault("number", fmt.Sprintf("must be a whole number, 0 to %d", int64(tasks.MaxNumber)))
			break
		}
		if o.Number = n; o.Source == "" {
			c.fault("number", "is given without a source")
			o.Number = 0 // said once
		}
	case o.Source != "":
		c.fault("number", "is missing: a source orders its tasks by it")
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
	case tasks.KindGroup:
		return c.group()
	}
	return nil
}

func (c *cells) group() tasks.GroupUpdate {
	v := c.values
	group := tasks.GroupUpdate{
		Tenant: v["tenant"], ChatID: v["chat_id"], Name: v["name"], Owner: v["owner"],
		OwnerType: v["owner_type"], Icon: v["icon"], AddUserIDs: c.list("add_user_ids"), DelUserIDs: c.list("del_user_ids"),
		AddExtIDs: c.list("add_ext_ids"), DelExtIDs: c.list("del_ext_ids"),
	}
	if group.Owner != "" && group.OwnerType == "" {
		group.OwnerType = tasks.OwnerEmployee
	}
	for _, s := range Switches() {
		switch v[s.Column] {
		case "":
		case "0":
			*s.Value(&group.Options) = new(0)
		case "1":
			*s.Value(&group.Options) = new(1)
		default:
			c.fault(s.Column, "must be 0 or 1, or empty to leave it alone")
		}
	}
	return group
}
