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

const (
	schoolSecret = "sch00l-s3cr3t"
	studentName  = "欧阳 [monitor] 一诺"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		subject providertest.Subject
		call    func(*classin.Client, context.Context, providers.Gate) (providers.Receipt, error)
	}{
		{
			providertest.Subject{
				API: "modifyGroupMemberNickname", Path: "/partner/api/course.api.php", Quick: "104",
				Done: `{"error_info":{"errno":1,"error":"ok"}}`, Refusal: refusal,
			},
			func(c *classin.Client, ctx context.Context, gate providers.Gate) (providers.Receipt, error) {
				return c.SyncCourseNicknames(ctx, gate, "561294")
			},
		},
		{
			providertest.Subject{
				API: "editSchoolStudent", Path: "/partner/api/course.api.php", Quick: "104",
				Done: `{"error_info":{"errno":1,"error":"ok"}}`, Refusal: refusal, Names: []string{studentName},
			},
			func(c *classin.Client, ctx context.Context, gate providers.Gate) (providers.Receipt, error) {
				return c.EditStudent(ctx, gate, "1445886", studentName)
			},
		},
		{
			providertest.Subject{
				API: "modifyCourseStudentNickName", Path: "/schooluser/modifyCourseStudentNickName", Quick: "101004005",
				Done: `{"code":1,"msg":"ok","data":[{"studentUid":1445886,"code":1,"msg":"ok"}]}`, Refusal: refusalV2,
			},
			func(c *classin.Client, ctx context.Context, gate providers.Gate) (providers.Receipt, error) {
				return c.SyncStudentNicknames(ctx, gate, []string{"1445886"})
			},
		},
	} {
		t.Run(s.subject.API, func(t *testing.T) {
			t.Parallel()
			subject := s.subject
			subject.Platform, subject.Status, subject.Throttle = "classin", 200, "101003001"
			subject.Rows, subject.Secrets = classin.RowsOf(subject.API), []string{schoolSecret}
			subject.Open = func(t testing.TB, setting providertest.Setting) providertest.Call {
				c := open(t, classin.Config{BaseURL: setting.URL, Timeout: setting.Timeout, Quick: setting.Quick})
				return func(ctx context.Context, gate providers.Gate) (providers.Receipt, error) { return s.call(c, ctx, gate) }
			}
			providertest.Run(t, subject)
		})
	}
}

func refusalV2(code, message string) string {
	text, err := json.Marshal(map[string]any{"code": json.Number(code), "msg": message})
	if err != nil {
		text, err = json.Marshal(map[string]any{"code": code, "msg": message})
	}
	if err != nil {
		panic(err)
	}
	return string(text)
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
