package classin_test

import (
	"context"
	"encoding/json"
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/classin"
	"rollcall/providers/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const schoolSecret = "sch00l-s3cr3t"

func TestExamination(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Subject{
		Platform: "classin", API: "modifyGroupMemberNickname", Path: "/partner/api/course.api.php", Status: 200,
		Done:     `{"error_info":{"errno":1,"error":"ok"}}`,
		Throttle: "101003001", Quick: "104",
		Rows: classin.Codes(), Refusal: refusal, Secrets: []string{schoolSecret},
		Open: func(t testing.TB, s providertest.Setting) providertest.Call {
			c := open(t, classin.Config{BaseURL: s.URL, Timeout: s.Timeout, Quick: s.Quick})
			return func(ctx context.Context, gate providers.Gate) (providers.Receipt, error) {
				return c.SyncCourseNicknames(ctx, gate, "561294")
			}
		},
	})
}

func open(t testing.TB, cfg classin.Config) *classin.Client {
	t.Helper()
	cfg.Tenant, cfg.SID, cfg.Secret = "school", "1000082", secret.New(schoolSecret)
	c, err := classin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func refusal(code, message string) string {
	text, err := json.Marshal(map[string]any{"error_info": map[string]any{"errno": json.Number(code), "error": message}})
	if err != nil {
		text, err = json.Marshal(map[string]any{"error_info": map[string]any{"errno": code, "error": message}})
	}
	if err != nil {
		panic(err)
	}
	return string(text)
}
