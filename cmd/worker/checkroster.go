package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/roster"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// inspectRoster reads a roster as the schedule will, and reports its problems.
func inspectRoster(cfg *config.Config, s config.Schedule, now time.Time) finding {
	f := finding{Subject: "schedule " + s.Name, Verdict: problem}
	remarks, err := rosterRemarks(cfg, s.Roster, now)
	if err != nil {
		f.Text = fmt.Sprintf("cannot read roster %s: %v", s.Roster, err)
		return f
	}
	f.Verdict, f.Text = fine, strings.Join(remarks, "; ")
	if len(remarks) > 1 {
		f.Verdict = warning
	}
	return f
}

func rosterRemarks(cfg *config.Config, path string, now time.Time) ([]string, error) {
	input, err := table.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = input.Close() }() // opened for reading only
	content, err := table.Open(input, table.Options{})
	if err != nil {
		return nil, err
	}
	file, err := roster.Open(content, roster.Options{Now: now})
	if err != nil {
		return nil, err
	}
	rows, remarks, err := rowRemarks(cfg, file)
	if err != nil {
		return nil, err
	}
	all := append([]string{fmt.Sprintf("%s has %d rows (%s)", path, rows, content)}, remarks...)
	if ignored := file.Ignored(); len(ignored) > 0 {
		all = append(all, "unknown columns, ignored: "+strings.Join(ignored, ", "))
	}
	return all, nil
}

func rowRemarks(cfg *config.Config, file *roster.File) (rows int, remarks []string, err error) {
	limits := map[string]tasks.Limits{}
	for _, t := range cfg.Tenants() {
		if longest := t.Platform().NicknameMax; longest > 0 {
			limits[t.Name] = tasks.Limits{NicknameMax: longest}
		}
	}
	var bad, other int
	var strange []string
	for row, err := range file.Rows() {
		if err != nil {
			return 0, nil, err
		}
		rows++
		nickname, ok := row.Request.Task.(tasks.NicknameSync)
		limit, served := limits[nickname.Tenant]
		switch {
		case row.Refusal(limit) != nil:
			bad++
		case !ok:
			other++
		case !served:
			strange = append(strange, nickname.Tenant)
		case row.Request.Validate(limit) != nil:
			bad++
		}
	}
	if bad > 0 {
		remarks = append(remarks, fmt.Sprintf("rows that will be refused: %d (for details: enqueue bulk --dry-run)", bad))
	}
	if other > 0 {
		remarks = append(remarks, fmt.Sprintf("rows without a nickname task: %d", other))
	}
	if n := len(strange); n > 0 {
		slices.Sort(strange)
		remarks = append(remarks, fmt.Sprintf("rows for tenants that are not DingTalk tenants of this file: %d (%s)",
			n, strings.Join(slices.Compact(strange), ", ")))
	}
	return rows, remarks, nil
}
