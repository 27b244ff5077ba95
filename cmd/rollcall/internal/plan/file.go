package plan

import (
	"context"
	"strconv"
	"strings"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/run"
	"rollcall/internal/sheet"
	"rollcall/internal/table"
)

// language is that of the columns of a file.
type language string

const chinese = "zh"

// of returns the text in the language.
func (l language) of(en, zh string) string {
	if l == chinese {
		return zh
	}
	return en
}

// column is a column of the file of a plan.
type column struct {
	en, zh string
	cell   func(run.Planned) string
}

// The columns that are read back.
var (
	rowColumn   = column{en: "row", zh: "序号", cell: func(p run.Planned) string { return strconv.Itoa(p.Number) }}
	leaveColumn = column{en: "leave out", zh: "不执行", cell: func(p run.Planned) string {
		if p.Decision == run.RowExcluded {
			return "x"
		}
		return ""
	}}
	planColumn = column{en: "plan", zh: "计划"}
)

// fileColumns are the columns of the file of a plan.
func fileColumns(r run.Run, lang language) []column {
	plan := planColumn
	plan.cell = func(run.Planned) string { return mark(r) }
	return []column{
		rowColumn,
		{en: "line", zh: "行", cell: func(p run.Planned) string { return positive(p.Line) }},
		leaveColumn,
		{en: "decision", zh: "判定", cell: func(p run.Planned) string { return wordOf(p.Decision, lang) }},
		{en: "tenant", zh: "租户", cell: func(p run.Planned) string { return shown.Place(p.Row).Tenant }},
		{en: "kind", zh: "类型", cell: func(p run.Planned) string { return string(shown.Place(p.Row).Kind) }},
		{en: "target", zh: "对象", cell: func(p run.Planned) string { return shown.Place(p.Row).Target }},
		{en: "now", zh: "现值", cell: func(p run.Planned) string { return values(p, true) }},
		{en: "then", zh: "新值", cell: func(p run.Planned) string { return values(p, false) }},
		{en: "why", zh: "原因", cell: func(p run.Planned) string { return inWords(p.Why, lang) }},
		{en: "look at", zh: "请核对", cell: func(p run.Planned) string { return inWords(p.Suspicious, lang) }},
		{en: "can be undone", zh: "可撤销", cell: func(p run.Planned) string { return yes(p.Undoable, lang) }},
		plan,
	}
}

// mark names a run and its plan in every row of a file, so that the rows can be sorted. A
// spreadsheet does not take it for a number.
func mark(r run.Run) string { return r.ID + "/" + r.Plan.Digest }

// write writes all rows of a plan to a file.
func write(ctx context.Context, s *session.Session, r run.Run, path string, lang language) error {
	columns := fileColumns(r, lang)
	heads, cells := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		heads[i] = lang.of(c.en, c.zh)
	}
	out, err := sheet.Create(path, heads)
	if err != nil {
		return cli.BadInput("%w", err)
	}
	defer out.Discard()
	for row, err := range s.Runs.Rows(ctx, r.ID) {
		if err != nil {
			return err
		}
		for i, c := range columns {
			cells[i] = c.cell(row)
		}
		if err := out.Row(cells); err != nil {
			return cli.BadInput("%w", err)
		}
	}
	if err := out.Close(); err != nil {
		return cli.BadInput("%w", err)
	}
	return nil
}

// Format returns the format of a file that is to be written, by its name.
func Format(path string) (table.Format, error) {
	format, err := sheet.FormatOf(path)
	if err != nil {
		return "", cli.BadInput("-o %w", err)
	}
	return format, nil
}

// inWords is a reason of a decision or of a result in a language.
func inWords(why string, lang language) string {
	if lang == chinese {
		return run.Chinese(why)
	}
	return why
}

// wordOf is the word for a decision.
func wordOf(d run.Decision, lang language) string {
	if lang == chinese {
		return map[run.Decision]string{
			run.RowChange: "变更", run.RowNew: "新增", run.RowUnchanged: "不变", run.RowConflict: "冲突",
			run.RowImpossible: "无法执行", run.RowExcluded: "不执行",
		}[d]
	}
	return string(d)
}

// values are the values of a row before or after, in one cell.
func values(p run.Planned, before bool) string {
	var parts []string
	for _, c := range changes(p) {
		switch {
		case !before:
			parts = append(parts, c.New)
		case c.Known:
			parts = append(parts, c.Old)
		}
	}
	return strings.Join(parts, "; ")
}

func yes(b bool, lang language) string {
	if b {
		return lang.of("yes", "是")
	}
	return ""
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}
