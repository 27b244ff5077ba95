package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/roster"
	"rollcall/tasks"
)

// lookThrough reads a roster as the schedule will, for what would go wrong in
// the night.
func lookThrough(cfg *config.Config, s config.Schedule, now time.Time) finding {
	f := finding{Subject: "schedule " + s.Name, Verdict: problem}
	file, err := os.Open(s.Roster)
	if err != nil {
		f.Text = "the roster cannot be read: " + err.Error()
		return f
	}
	defer func() { _ = file.Close() }() // it was only read from
	rows, err := roster.Read(file, tasks.Options{}, now)
	if err != nil {
		f.Text = s.Roster + ": " + err.Error()
		return f
	}
	remarks := append([]string{fmt.Sprintf("%s has %d rows", s.Roster, len(rows))}, rowRemarks(cfg, rows)...)
	f.Verdict, f.Text = fine, strings.Join(remarks, "; ")
	if len(remarks) > 1 {
		f.Verdict = warning
	}
	return f
}

func rowRemarks(cfg *config.Config, rows []roster.Row) []string {
	limits := map[string]tasks.Limits{}
	for _, org := range cfg.Organisations {
		for _, t := range org.Tenants {
			if t.DingTalk != nil {
				limits[t.Name] = tasks.Limits{NicknameMax: t.DingTalk.NicknameMax}
			}
		}
	}
	var bad, other int
	var strange []string
	for _, row := range rows {
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
	var remarks []string
	if bad > 0 {
		remarks = append(remarks, fmt.Sprintf("rows that will be refused: %d (enqueue bulk --dry-run says why)", bad))
	}
	if other > 0 {
		remarks = append(remarks, fmt.Sprintf("rows that are no nicknames: %d", other))
	}
	if n := len(strange); n > 0 {
		slices.Sort(strange)
		remarks = append(remarks, fmt.Sprintf("rows for tenants that this file does not have on DingTalk: %d (%s)",
			n, strings.Join(slices.Compact(strange), ", ")))
	}
	return remarks
}
