package browser_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"rollcall/internal/subprocess"
)

const (
	alertRules = "../../deploy/prometheus/alerts.yml"
	runbooks   = "https://git.example.edu/runbook"
)

// prometheus returns the path of Prometheus. ROLLCALL_REQUIRE_BROWSER=1 requires it, too.
func prometheus(t *testing.T) string {
	t.Helper()
	at, err := exec.LookPath("prometheus")
	if err != nil && os.Getenv("ROLLCALL_REQUIRE_BROWSER") == "1" {
		t.Fatal("prometheus is not on the PATH")
	} else if err != nil {
		t.Skip("prometheus is not on the PATH")
	}
	return at
}

// watch starts a Prometheus that reads the workers every second and evaluates the alerts, and
// returns its address. It ends with the test.
func (s *scene) watch() string {
	s.t.Helper()
	binary := prometheus(s.t)
	rules, err := filepath.Abs(alertRules)
	if err != nil {
		s.t.Fatal(err)
	}
	var targets []string
	for _, p := range s.pages {
		targets = append(targets, `"`+strings.TrimPrefix(p, "http://")+`"`)
	}
	config := s.write("prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {rollcall_url: %q, rollcall_runbooks: %q}}
rule_files: [%q]
scrape_configs: [{job_name: rollcall, basic_auth: {username: %[4]s, password: %[4]s}, static_configs: [{targets: [%[5]s]}]}]
`, s.page, runbooks, rules, vic, strings.Join(targets, ",")))
	ports, err := subprocess.Ports(s.t.Context(), 1, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	address := "127.0.0.1:" + ports[0]
	process, err := subprocess.Start(subprocess.Command{
		Program: binary, Ready: "Server is ready to receive web requests",
		Args: []string{"--config.file=" + config, "--storage.tsdb.path=" + s.t.TempDir(), "--web.listen-address=" + address},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(process.Kill)
	return "http://" + address
}

// rings waits until the condition of an alert is met. Its links lead to a page and to a runbook.
func (s *scene) rings(prometheus, name string) {
	s.t.Helper()
	var annotations map[string]string
	s.until(name+" rings", func() bool {
		var answer struct {
			Data struct {
				Alerts []struct {
					Labels      map[string]string `json:"labels"`
					Annotations map[string]string `json:"annotations"`
				} `json:"alerts"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(s.get(prometheus+"/api/v1/alerts", "en")), &answer); err != nil {
			return false
		}
		for _, a := range answer.Data.Alerts {
			if a.Labels["alertname"] == name {
				annotations = a.Annotations
				return true
			}
		}
		return false
	})
	if at := annotations["page_url"]; !strings.HasPrefix(at, s.page+"/") || s.get(at, "en") == "" {
		s.t.Errorf("%s links to %q, want a page of %s", name, at, s.page)
	}
	at, found := strings.CutPrefix(annotations["runbook_url"], runbooks+"/")
	if _, err := os.Stat(filepath.Join("../../docs/runbook", path.Base(at))); !found || err != nil {
		s.t.Errorf("%s links to %q: %v", name, annotations["runbook_url"], err)
	}
}

// get returns the body of a page that answers with 200, as a viewer without a session, else
// nothing.
func (s *scene) get(at, lang string) string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, at, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.SetBasicAuth(vic, vic)
	request.Header.Set("Accept-Language", lang)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// chinese returns the sentence in Chinese.
func (s *scene) chinese() string {
	s.t.Helper()
	root, err := html.Parse(strings.NewReader(s.get(s.page+"/", "zh-CN")))
	if err != nil {
		s.t.Fatal(err)
	}
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			if a.Key == "id" && a.Val == "sentence" {
				return textOf(n)
			}
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
