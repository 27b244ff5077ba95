package metrics_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.yaml.in/yaml/v4"

	"rollcall/internal/handler"
	"rollcall/internal/manual"
	"rollcall/internal/metrics"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
)

var update = flag.Bool("update", false, "rewrite docs/metrics.md")

const (
	page     = "../../docs/metrics.md"
	runbooks = "../../docs/runbook"
	deployed = "../../deploy/prometheus"
)

// families returns all metric families of a worker, each with at least one series.
func families(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	s := redistest.One(t)
	open(t, s, school())
	plan(t, s, "nightly", "")
	m := measured(t, s, metrics.Config{Webhooks: []string{"sis"}})
	m.Attempt(attempt(outcome.Done, "", nil, handler.Report{Outcome: handler.Applied, Sends: 1, Revision: 1}))
	m.Closed(laneName, outcome.Rejected)
	all, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range described(t, m.Gatherer()) {
		if !slices.ContainsFunc(all, func(f *dto.MetricFamily) bool { return f.GetName() == name }) {
			t.Errorf("%s has no series here, so nothing shows that it is documented", name)
		}
	}
	return all
}

// described returns the names of the metrics that a registry may export.
func described(t *testing.T, registry prometheus.Gatherer) (names []string) {
	t.Helper()
	collector, ok := registry.(prometheus.Collector)
	if !ok {
		t.Fatalf("%T describes nothing", registry)
	}
	all := make(chan *prometheus.Desc)
	go func() { defer close(all); collector.Describe(all) }()
	for d := range all {
		if m := regexp.MustCompile(`fqName: "(rollcall_[a-z_]+)"`).FindStringSubmatch(d.String()); m != nil {
			names = append(names, m[1])
		}
	}
	if len(names) == 0 {
		t.Fatal("the registry describes no metric")
	}
	return names
}

// The tables between the markers are generated from the registry. The rest of the page
// is written by hand.
func TestThePageListsEveryMetric(t *testing.T) {
	t.Parallel()
	var rows [][]string
	for _, f := range families(t) {
		if !strings.HasPrefix(f.GetName(), "rollcall_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		rows = append(rows, []string{"`" + f.GetName() + "`", strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp()})
	}
	manual.Parts(t, page, map[string]string{"metrics": manual.Table([]string{"metric", "type", "labels", "meaning"}, rows)}, *update)
}

// alerts is the part of deploy/prometheus/alerts.yml that the tests need.
type alerts struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Record      string            `yaml:"record"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

func readAlerts(t *testing.T) alerts {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(deployed, "alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var a alerts
	if err := yaml.Unmarshal(content, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// An alert wakes a person: it says what is wrong, and names the page with what to do.
func TestEachAlertHasItsPageAndEachPageItsAlert(t *testing.T) {
	t.Parallel()
	var named []string
	for _, group := range readAlerts(t).Groups {
		for _, rule := range group.Rules {
			named = append(named, rule.Alert)
			path := "docs/runbook/" + rule.Alert + ".md"
			if want := "{{ $externalLabels.rollcall_runbooks }}/" + rule.Alert + ".md"; rule.Annotations["runbook_url"] != want {
				t.Errorf("%s: runbook_url %q, want %s", rule.Alert, rule.Annotations["runbook_url"], want)
			}
			if at := rule.Annotations["page_url"]; !strings.HasPrefix(at, "{{ $externalLabels.rollcall_url }}/") {
				t.Errorf("%s: page_url %q is no page", rule.Alert, at)
			}
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" || rule.Labels["severity"] == "" {
				t.Errorf("%s lacks a summary, a description or a severity", rule.Alert)
			}
			content, err := os.ReadFile("../../" + path)
			if err != nil {
				t.Error(err)
				continue
			}
			for _, part := range []string{"# " + rule.Alert + "\n", "\n## What it means\n", "\n## How to see it\n", "\n## What to do\n"} {
				if !strings.Contains(string(content), part) {
					t.Errorf("%s has no %q", path, strings.TrimSpace(part))
				}
			}
		}
	}
	pages, err := filepath.Glob(runbooks + "/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no runbook: %v", err)
	}
	for _, p := range pages {
		if name := strings.TrimSuffix(filepath.Base(p), ".md"); !slices.Contains(named, name) {
			t.Errorf("%s belongs to no alert", p)
		}
	}
}

var ours = regexp.MustCompile(`\brollcall_[a-z_]+\b`)

// An alert on a metric that does not exist never fires.
func TestAlertsAndPanelsUseOnlyExistingMetrics(t *testing.T) {
	t.Parallel()
	labels := labelsOf(t)
	queries := map[string][]string{"dashboard": dashboardQueries(t)}
	for _, group := range readAlerts(t).Groups {
		for _, rule := range group.Rules {
			queries[rule.Alert] = append(queries[rule.Alert], rule.Expr)
		}
	}
	selector := regexp.MustCompile(`\b(rollcall_[a-z_]+)\{([^}]*)\}`)
	label := regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	for where, all := range queries {
		for _, query := range all {
			for _, name := range ours.FindAllString(query, -1) {
				if labels[name] == nil {
					t.Errorf("%s uses %s, which does not exist", where, name)
				}
			}
			for _, l := range grouped(query) {
				if !slices.ContainsFunc(ours.FindAllString(query, -1), func(name string) bool { return slices.Contains(labels[name], l) }) {
					t.Errorf("%s groups by %s, a label that no metric of it has: %s", where, l, query)
				}
			}
			for _, m := range selector.FindAllStringSubmatch(query, -1) {
				for _, l := range label.FindAllStringSubmatch(m[2], -1) {
					if !slices.Contains(labels[m[1]], l[1]) {
						t.Errorf("%s uses %s with %s, a label that it does not have", where, m[1], l[1])
					}
				}
			}
		}
	}
}

// labelsOf returns the labels of each metric, by its name in queries.
func labelsOf(t *testing.T) map[string][]string {
	t.Helper()
	labels := map[string][]string{} // by metric
	for _, f := range families(t) {
		names := []string{f.GetName()}
		if f.GetType() == dto.MetricType_HISTOGRAM {
			names = []string{f.GetName() + "_bucket", f.GetName() + "_sum", f.GetName() + "_count"}
		}
		for _, name := range names {
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels[name] = append(labels[name], l.GetName())
			}
			labels[name] = append(labels[name], "le", "job", "instance")
		}
	}
	return labels
}

// grouped returns the labels that a query groups by.
func grouped(query string) (labels []string) {
	for _, m := range groupBy.FindAllStringSubmatch(query, -1) {
		labels = append(labels, strings.Split(m[1], ", ")...)
	}
	return labels
}

func dashboardQueries(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(deployed, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var holds struct {
		UID    string `json:"uid"`
		Panels []struct {
			ID          int    `json:"id"`
			Title       string `json:"title"`
			Description string `json:"description"`
			Targets     []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(content, &holds); err != nil {
		t.Fatal(err)
	}
	var queries []string
	seen := map[int]bool{}
	for _, p := range holds.Panels {
		if seen[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q has no title or no unique id", p.ID, p.Title)
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	if holds.UID == "" || len(queries) < 10 {
		t.Errorf("a dashboard with uid %q and %d queries", holds.UID, len(queries))
	}
	return queries
}

// promtool checks the metrics, the alerts and when they fire.
func TestPromtoolAcceptsMetricsAndAlerts(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not on the PATH: install Prometheus to run this test")
	}
	s := redistest.One(t)
	open(t, s, school())
	_, body := scrape(t, measured(t, s, metrics.Config{}))
	for _, row := range []struct {
		stdin string
		args  []string
	}{
		{body, []string{"check", "metrics"}},
		{"", []string{"check", "rules", filepath.Join(deployed, "alerts.yml")}},
		{"", []string{"test", "rules", filepath.Join(deployed, "alerts_test.yml")}},
	} {
		cmd := exec.CommandContext(t.Context(), promtool, row.args...)
		cmd.Stdin = strings.NewReader(row.stdin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(row.args, " "), err, out)
		}
	}
}

// deploy/prometheus/alerts_test.yml shows each alert firing.
func TestEachAlertIsTested(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(deployed, "alerts_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var tests struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `yaml:"alertname"`
				ExpAlerts []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	if err := yaml.Unmarshal(content, &tests); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, a := range test.AlertRuleTest {
			fires[a.Alertname] = fires[a.Alertname] || len(a.ExpAlerts) > 0
			silent[a.Alertname] = silent[a.Alertname] || len(a.ExpAlerts) == 0
		}
	}
	for _, group := range readAlerts(t).Groups {
		for _, rule := range group.Rules {
			if !fires[rule.Alert] || !silent[rule.Alert] {
				t.Errorf("%s: shown to fire %t, shown to stay silent %t", rule.Alert, fires[rule.Alert], silent[rule.Alert])
			}
		}
	}
}
