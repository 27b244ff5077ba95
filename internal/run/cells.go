package run

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"rollcall/internal/advice"
)

// resultColumn is a column of a file of results, after those of the upload.
type resultColumn struct {
	english, chinese string
	cell             func(r Result, chinese bool) string
}

// resultColumns have names that no roster has, so that a file of results can be planned
// again.
func resultColumns() []resultColumn {
	plain := func(cell func(Result) string) func(Result, bool) string {
		return func(r Result, _ bool) string { return cell(r) }
	}
	return []resultColumn{
		{"result", "结果", outcomeCell},
		{"result: old value", "结果：原值", plain(func(r Result) string { return valuesCell(r, true) })},
		{"result: new value", "结果：新值", plain(func(r Result) string { return valuesCell(r, false) })},
		{"result: code", "结果：代码", plain(func(r Result) string { return r.Code })},
		{"result: message", "结果：消息", messageCell},
		{"result: what to do", "结果：处理办法", adviceCell},
		{"result: request id", "结果：请求ID", plain(func(r Result) string { return r.RequestID })},
		{"result: time", "结果：时间", plain(func(r Result) string {
			if r.At.IsZero() {
				return ""
			}
			return r.At.Format(time.RFC3339)
		})},
	}
}

// ResultColumns are the names of the columns with results of a file.
func ResultColumns(chinese bool) []string {
	var all []string
	for _, c := range resultColumns() {
		all = append(all, pick(chinese, c.english, c.chinese))
	}
	return all
}

// IsResultColumn reports whether a column of a file holds results, in either language.
func IsResultColumn(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	return slices.ContainsFunc(resultColumns(), func(c resultColumn) bool { return name == c.english || name == c.chinese })
}

// ResultCells are the cells of ResultColumns for a row. Its time is shown in its own zone.
func ResultCells(r Result, chinese bool) []string {
	var all []string
	for _, c := range resultColumns() {
		all = append(all, c.cell(r, chinese))
	}
	return all
}

func pick(chinese bool, en, zh string) string {
	if chinese {
		return zh
	}
	return en
}

func outcomeCell(r Result, chinese bool) string {
	return pick(chinese, string(r.Outcome), chineseOutcomes[r.Outcome])
}

var chineseOutcomes = map[Outcome]string{
	OutcomeWaiting: "等待", OutcomeOpen: "进行中", OutcomeApplied: "已生效", OutcomeUnchanged: "不变",
	OutcomeSuperseded: "已被更新的变更取代", OutcomeFailed: "失败", OutcomeCancelled: "已取消",
	OutcomeConflict: "冲突", OutcomeImpossible: "无法执行", OutcomeExcluded: "不执行",
}

// messageCell is the message of the platform, or the reason in our words.
func messageCell(r Result, chinese bool) string {
	text := cmp.Or(r.Message, r.Why)
	if chinese {
		return Chinese(text)
	}
	return text
}

func adviceCell(r Result, chinese bool) string {
	if chinese {
		return advice.Chinese(r.Advice)
	}
	return r.Advice
}

// valuesCell are the values of a row before or after, in one cell.
func valuesCell(r Result, before bool) string {
	var parts []string
	for _, v := range r.Values {
		text := v.New
		if before {
			if text = v.Old; !v.Known {
				continue
			}
		}
		if len(r.Values) > 1 {
			text = v.Field + ": " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}
