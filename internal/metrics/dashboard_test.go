package metrics_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
)

// panel is a graph of the dashboard; one with a stat shows a number. Its description is that of
// the metric in its first query. Queries select the lanes that the user chose, and each series is
// named by the labels that its query groups by, after a name before "::".
type panel struct {
	title, unit string
	stat        bool
	queries     []string
}

// quantiles are the queries of a histogram by lane.
func quantiles(metric string) []string {
	var all []string
	for _, q := range []string{"0.5", "0.95"} {
		all = append(all, "p"+q[2:]+"::histogram_quantile("+q+", sum by (le, lane) (rate("+metric+"_bucket[5m])))")
	}
	return all
}

func panels() []panel {
	return []panel{
		{"Workers ready", "short", true, []string{`sum(rollcall_ready)`}},
		{"Lanes on hold", "short", true, []string{`count(max by (lane) (rollcall_lane_held) == 1) or vector(0)`}},
		{"Dead letters", "short", true, []string{`sum(max by (lane, class) (rollcall_dead_letters)) or vector(0)`}},
		{"Applied, 24 h", "short", true, []string{`sum(increase(rollcall_tasks_total{outcome="applied"}[24h]))`}},
		{"Tasks waiting", "short", true, []string{`sum(max by (lane, priority, state) (rollcall_queue_tasks{state=~"pending|scheduled|retry"}))`}},
		{"Oldest pending task", "s", true, []string{`max(rollcall_queue_oldest_pending_seconds)`}},

		{"Tasks that ended", "ops", false, []string{`sum by (outcome) (rate(rollcall_tasks_total[5m]))`}},
		{"Attempts that are retried", "ops", false, []string{`sum by (class) (rate(rollcall_attempts_total{action="retry"}[5m]))`}},
		{"Open dead letters", "short", false, []string{`max by (lane, class) (rollcall_dead_letters) > 0`}},
		{"Dead letters in an hour", "short", false, []string{
			`sum by (class) (increase(rollcall_tasks_total{outcome="dead"}[1h]))`, `closed::sum by (class) (increase(rollcall_dead_letters_closed_total[1h]))`,
		}},
		{"Calls by code", "ops", false, []string{`sum by (code) (rate(rollcall_calls_total[5m]))`}},
		{"Metered requests", "ops", false, []string{`sum by (lane) (rate(rollcall_sends_total[1m]))`}},
		{"Holds", "short", false, []string{`max by (lane, class) (rollcall_lane_held) > 0`}},
		{"Changes of holds in an hour", "short", false, []string{`sum by (level, class, change) (increase(rollcall_hold_changes_total[1h])) > 0`}},
		{"Rate allowed and used", "ops", false, []string{
			`allowed::max by (lane) (rollcall_pace_allowed_calls_per_second)`, `used::max by (lane) (rollcall_pace_used_calls_per_second)`,
		}},
		{"Refused for the rate in five minutes", "short", false, []string{`max by (lane) (increase(rollcall_pace_refused_total[5m]))`}},
		{"Share of the rate", "percentunit", false, []string{`min by (lane) (rollcall_pace_share)`}},
		{"Spread of the delay, and pauses", "s", false, []string{
			`spread::max by (lane) (rollcall_pace_spread_seconds)`, `pause::max by (lane) (rollcall_pace_paused_seconds)`,
		}},
		{"Calls of the month", "short", false, []string{
			`spent::max by (organisation) (rollcall_month_calls)`, `left::max by (organisation) (rollcall_month_left_calls)`,
			`quota::max by (organisation) (rollcall_month_quota_calls) > 0`, `reserve::max by (organisation) (rollcall_month_reserve_calls) > 0`,
			`warning from::max by (organisation) (rollcall_month_warn_calls) > 0`,
		}},
		{"Messages of the month", "short", false, []string{`max by (organisation) (rollcall_month_messages)`}},
		{"Rest of the month", "s", false, []string{`max by (organisation) (rollcall_month_ends_timestamp_seconds) - time()`}},
		{"Duration of a call", "s", false, quantiles("rollcall_call_duration_seconds")},
		{"Wait for slots", "s", false, quantiles("rollcall_slot_wait_seconds")},
		{"Duration of an attempt", "s", false, quantiles("rollcall_attempt_duration_seconds")},
		{"Wait of a task", "s", false, quantiles("rollcall_task_wait_seconds")},
		{"Time until a task has ended", "s", false, quantiles("rollcall_task_duration_seconds")},
		{"Tasks in queues", "short", false, []string{`sum by (state) (max by (lane, priority, state) (rollcall_queue_tasks))`}},
		{"Oldest pending task by lane", "s", false, []string{`max by (lane, priority) (rollcall_queue_oldest_pending_seconds)`}},
		{"Paused queues", "short", false, []string{`max by (lane, priority) (rollcall_queue_paused) > 0`}},
		{"Tasks that no worker serves", "short", false, []string{`tasks::max(rollcall_unserved_tasks)`, `queues::max(rollcall_unserved_queues)`}},
		{"Tasks of dead workers in an hour", "short", false, []string{`sum by (lane) (increase(rollcall_tasks_recovered_total[1h]))`}},
		{"Values that are sent once more", "short", false, []string{
			`waiting::max by (lane) (rollcall_late_targets)`, `in an hour::sum by (lane, action, class) (increase(rollcall_resends_total[1h])) > 0`,
		}},
		{"Runs that have not ended", "short", false, []string{`max by (state) (rollcall_runs)`}},
		{"Rows of runs", "short", false, []string{`waiting::max(rollcall_run_rows_waiting)`, `stored in an hour::sum by (lane) (increase(rollcall_run_rows_fed_total[1h]))`}},
		{"Oldest run with waiting rows", "s", false, []string{`max(rollcall_run_oldest_waiting_seconds)`}},
		{"Schedules that were missed or failed", "short", false, []string{`max by (schedule, state) (rollcall_schedule_trouble) > 0`}},
		{"Calls of webhooks in an hour", "short", false, []string{`sum by (webhook, result) (increase(rollcall_webhook_calls_total[1h]))`}},
		{"Requests to the API that were refused in an hour", "short", false, []string{`sum by (reason) (increase(rollcall_api_refused_total[1h]))`}},
		{"Logins that were refused in an hour", "short", false, []string{`sum by (reason) (increase(rollcall_web_logins_refused_total[1h]))`}},
		{"Parts of the metrics that could be read", "short", false, []string{
			`dead letters::min(rollcall_dead_letters_read)`, `pace::min(rollcall_pace_read)`, `queues::min(rollcall_queues_read)`, `runs::min(rollcall_runs_read)`,
			`schedules::min(rollcall_schedules_read)`,
		}},
		{"Connections to Redis", "short", false, []string{`sum by (instance, state) (rollcall_redis_pool_connections)`}},
		{"Pool of connections", "ops", false, []string{
			`timeouts::sum by (instance) (rate(rollcall_redis_pool_timeouts_total[5m]))`, `broken::sum by (instance) (rate(rollcall_redis_pool_stale_total[5m]))`,
			`hits::sum by (instance) (rate(rollcall_redis_pool_hits_total[5m]))`, `misses::sum by (instance) (rate(rollcall_redis_pool_misses_total[5m]))`,
		}},
		{"Versions", "short", false, []string{`count by (version, revision, goversion) (rollcall_build_info)`}},
	}
}

var (
	measure = regexp.MustCompile(`\b(rollcall_[a-z_]+)(?:\{([^}]*)\})?`)
	groupBy = regexp.MustCompile(`by \(([^)]*)\)`)
	part    = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// dashboard writes the dashboard, with one panel a line, and returns the metrics that it shows.
func dashboard(t *testing.T, known map[string]*dto.MetricFamily) (content string, shown map[string]bool) {
	t.Helper()
	type object = map[string]any
	source := object{"type": "prometheus", "uid": "${datasource}"}
	variable := object{
		"name": "lane", "label": "lane", "type": "query", "datasource": source, "query": "label_values(rollcall_sends_total, lane)", "refresh": 2,
		"includeAll": true, "multi": true, "allValue": ".*", "current": object{"text": "All", "value": "$__all"}, "sort": 1,
	}
	shown = map[string]bool{}
	chosen := func(selector string) string {
		m := measure.FindStringSubmatch(selector)
		name := m[1]
		if f := known[part.ReplaceAllString(name, "")]; known[name] == nil && f.GetType() == dto.MetricType_HISTOGRAM {
			name = f.GetName()
		}
		shown[name] = true
		if !hasLabel(known[name], "lane") {
			return selector
		}
		return m[1] + "{" + strings.TrimPrefix(m[2]+`,lane=~"$lane"`, ",") + "}"
	}
	var b strings.Builder
	line := func(v any, end string) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
		b.WriteString(end)
	}
	b.WriteString(`{"uid": "rollcall", "title": "rollcall", "tags": ["rollcall"], "schemaVersion": 39, "refresh": "30s", "time": {"from": "now-6h", "to": "now"},` +
		"\n" + `"templating": {"list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},` + "\n")
	line(variable, "]},\n\"panels\": [\n")
	all, x, y := panels(), 0, 0
	for i, p := range all {
		kind, width, height := "timeseries", 12, 8
		if p.stat {
			kind, width, height = "stat", 4, 4
		}
		first := measure.FindStringSubmatch(p.queries[0])[1]
		body := object{
			"id": i + 1, "type": kind, "title": p.title, "description": known[part.ReplaceAllString(first, "")].GetHelp(), "datasource": source,
			"gridPos":     object{"x": x, "y": y, "w": width, "h": height},
			"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []any{}},
		}
		if x += width; x == 24 {
			x, y = 0, y+height
		}
		var targets []object
		for n, query := range p.queries {
			legend, expr := legendOf(query)
			targets = append(targets, object{
				"refId": string(rune('A' + n)), "datasource": source, "expr": measure.ReplaceAllStringFunc(expr, chosen), "legendFormat": legend,
			})
		}
		body["targets"] = targets
		line(body, map[bool]string{true: ",\n", false: "\n]}\n"}[i < len(all)-1])
	}
	return b.String(), shown
}

// legendOf splits a query from the name of its series, with the labels that it groups by.
func legendOf(query string) (legend, expr string) {
	legend, expr, named := strings.Cut(query, "::")
	if !named {
		legend, expr = "", query
	}
	if strings.HasPrefix(expr, "sum(") || strings.HasPrefix(expr, "count(max") {
		return legend, expr // one number
	}
	parts := []string{legend}
	for _, label := range grouped(groupBy.FindString(expr)) { // the outer ones
		if label != "le" {
			parts = append(parts, "{{"+label+"}}")
		}
	}
	return strings.TrimSpace(strings.Join(parts, " ")), expr
}

func hasLabel(f *dto.MetricFamily, name string) bool {
	return f != nil && slices.ContainsFunc(f.GetMetric()[0].GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == name })
}

// The dashboard is generated from panels and the registry: go test -update writes it.
func TestTheDashboardShowsEveryMetric(t *testing.T) {
	t.Parallel()
	known := map[string]*dto.MetricFamily{}
	for _, f := range families(t) {
		known[f.GetName()] = f
	}
	want, shown := dashboard(t, known)
	for name := range known {
		if strings.HasPrefix(name, "rollcall_") && !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
	for name := range shown {
		if known[name] == nil {
			t.Errorf("a panel shows %s, which does not exist", name)
		}
	}
	path := filepath.Join(deployed, "dashboard.json")
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("deploy/prometheus/dashboard.json is not that of panels: go test ./internal/metrics -update")
	}
	if !json.Valid(got) {
		t.Error("the dashboard is no JSON")
	}
}
