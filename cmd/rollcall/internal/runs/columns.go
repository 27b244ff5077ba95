package runs

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/cmd/rollcall/internal/plan"
	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/outcome"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/sheet"
)

// column is a column of results. No roster has a column of its name, so that a file with
// results can be planned again.
type column struct {
	en, zh string
	cell   func(row run.Result, lang plan.Language) string
}

func resultColumns() []column {
	plain := func(cell func(run.Result) string) func(run.Result, plan.Language) string {
		return func(row run.Result, _ plan.Language) string { return cell(row) }
	}
	return []column{
		{"result", "结果", outcomeWord},
		{"result: old value", "结果：原值", plain(func(row run.Result) string { return valuesOf(row, true) })},
		{"result: new value", "结果：新值", plain(func(row run.Result) string { return valuesOf(row, false) })},
		{"result: code", "结果：代码", plain(func(row run.Result) string { return row.Code })},
		{"result: message", "结果：消息", func(row run.Result, lang plan.Language) string { return plan.Reason(message(row), lang) }},
		{"result: what to do", "结果：处理办法", advice},
		{"result: request id", "结果：请求ID", plain(func(row run.Result) string { return row.RequestID })},
		{"result: time", "结果：时间", plain(func(row run.Result) string {
			if row.At.IsZero() {
				return ""
			}
			return row.At.Local().Format(time.RFC3339)
		})},
	}
}

// isResult reports whether a column of a file holds results.
func isResult(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return slices.ContainsFunc(resultColumns(), func(c column) bool { return name == c.en || name == c.zh })
}

func heads(lang plan.Language) []string {
	var all []string
	for _, c := range resultColumns() {
		all = append(all, lang.Of(c.en, c.zh))
	}
	return all
}

// resultCells are the cells of resultColumns for a row.
func resultCells(row run.Result, lang plan.Language) []string {
	var all []string
	for _, c := range resultColumns() {
		all = append(all, c.cell(row, lang))
	}
	return all
}

func outcomeWord(row run.Result, lang plan.Language) string {
	if lang != "zh" {
		return string(row.Outcome)
	}
	return map[run.Outcome]string{
		run.OutcomeWaiting: "等待", run.OutcomeOpen: "进行中", run.OutcomeApplied: "已生效", run.OutcomeUnchanged: "不变",
		run.OutcomeSuperseded: "已被更新的变更取代", run.OutcomeFailed: "失败", run.OutcomeCancelled: "已取消",
		run.OutcomeConflict: "冲突", run.OutcomeImpossible: "无法执行", run.OutcomeExcluded: "不执行",
	}[row.Outcome]
}

func advice(row run.Result, lang plan.Language) string {
	if lang == "zh" {
		return outcome.Chinese(row.Advice)
	}
	return row.Advice
}

// valuesOf are the values of a row before or after, in one cell.
func valuesOf(row run.Result, before bool) string {
	var parts []string
	for _, v := range row.Values {
		text := v.New
		if before {
			if text = v.Old; !v.Known {
				continue
			}
		}
		if len(row.Values) > 1 {
			text = v.Field + ": " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// write writes the results to a file of its own.
func (f *resultFlags) write(ctx context.Context, s *session.Session, r run.Run) error {
	used := map[string]bool{}
	all := *f
	all.failed = false // a row may fail between the two readings
	err := all.each(ctx, s, r, func(row run.Result) error {
		for column := range roster.Cells(row.Request, row.Previous) {
			used[column] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	columns := roster.Order(slices.Collect(maps.Keys(used)))
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = column
		if other := roster.Synonyms(column); f.lang == "zh" && len(other) > 0 {
			names[i] = chinese(other)
		}
	}
	out, err := sheet.Create(f.out, slices.Concat(names, heads(f.lang)))
	if err != nil {
		return cli.BadInput("%w", err)
	}
	defer out.Discard()
	rows := 0
	err = f.each(ctx, s, r, func(row run.Result) error {
		rows++
		cells, of := make([]string, len(columns)), roster.Cells(row.Request, row.Previous)
		for i, column := range columns {
			cells[i] = of[column]
		}
		return out.Row(slices.Concat(cells, resultCells(row, f.lang)))
	})
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return err
	}
	return f.written(s, rows, f.out)
}

// chinese returns the first Chinese name of a column.
func chinese(names []string) string {
	for _, name := range names {
		if strings.ContainsFunc(name, func(r rune) bool { return r > 0x2e80 }) {
			return name
		}
	}
	return names[0]
}

// written reports a file, and what to do with rows to correct.
func (f *resultFlags) written(s *session.Session, rows int, path string) error {
	if s.JSON {
		return s.PrintJSON(struct {
			Output string `json:"output"`
			Rows   int    `json:"rows"`
		}{path, rows})
	}
	console.Fprintf(s.Stdout, "written: %s, %s\n", path, cli.Count(rows, "row"))
	if f.failed && rows > 0 {
		console.Fprintf(s.Stdout, "correct the rows, then: rollcall plan %s\n", path)
	}
	return nil
}
