package lane_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

// A platform repeats the people of a task in its message, its request id or a cause, in
// any form, and so does a panic. Nothing that the worker writes names them.
func TestNothingAboutAnAttemptNamesThePeopleOfItsTask(t *testing.T) {
	t.Parallel()
	const key = "2026-03-01/employee7/王芳"
	rejected := func(message, requestID string, cause error) lanetest.Doing {
		return func(context.Context, func(context.Context) error, string) error {
			return &providers.Error{
				Platform: "dingtalk", API: "updategroupnick", Kind: providers.Rejected, Code: "34001", HTTPStatus: 200,
				Message: message, RequestID: requestID, Err: cause,
			}
		}
	}
	for name, do := range map[string]lanetest.Doing{
		"message": rejected("EMPLOYEE7（三年二班　王芳）is not in chat1", "r-1", nil),
		"request": rejected("not in chat1", "r-employee7-王芳", nil),
		"cause":   rejected("not in chat1", "r-1", errors.New("read employee7: 王芳: chat1")),
		"key":     rejected("not in chat1: "+key, "r-1", nil),
		"panic": func(context.Context, func(context.Context) error, string) error {
			panic("chat1 of employee7 王芳")
		},
		"other": func(context.Context, func(context.Context) error, string) error {
			return &kinds.PayloadError{What: "chat1 of employee7 王芳"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, redistest.One(t))
			r.Add(lane.Config{}, do)
			typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "dt", ChatID: "chat1", UserID: "employee7", Nickname: "三年二班 王芳"}, 1234)
			if err != nil {
				t.Fatal(err)
			}
			task := asynq.NewTaskWithHeaders(typename, payload, map[string]string{kinds.KeyHeader: key})
			if _, err := r.Client.Enqueue(task, asynq.Queue(urgent), asynq.TaskID("t1"), asynq.MaxRetry(1<<20)); err != nil {
				t.Fatal(err)
			}
			r.Start()
			attempt := r.Attempt()
			info, err := r.Inspector.GetTaskInfo(urgent, "t1")
			if err != nil {
				t.Fatal(err)
			}
			texts := map[string]string{"log": r.Log.String(), "asynq": info.LastErr, "verdict": attempt.Verdict.Cause(), "request id": attempt.Report.RequestID}
			if name != "panic" { // it is retried
				r.Ends(urgent, "t1", asynq.TaskStateArchived)
				info, err := r.Inspector.GetTaskInfo(urgent, "t1")
				if err != nil {
					t.Fatal(err)
				}
				texts["asynq"], texts["log"] = info.LastErr, r.Log.String()
				dead := r.DeadLetter("t1")
				texts["dead letter"] = dead.Cause + dead.Message + dead.RequestID
			}
			for where, text := range texts {
				for _, word := range []string{"employee7", "mployee7", "EMPLOYEE7", "王芳", "芳"} {
					if strings.Contains(text, word) {
						t.Errorf("%s names %s: %s", where, word, text)
					}
				}
			}
			if all := strings.Join(slices.Collect(maps.Values(texts)), "\n"); !strings.Contains(all, "chat1") {
				t.Errorf("the rest is lost: %s", all)
			}
		})
	}
}

// Attempts that share an error have different people.
func TestAnErrorOfSeveralAttemptsIsNotChanged(t *testing.T) {
	t.Parallel()
	shared := &providers.Error{Platform: "dingtalk", API: "gettoken", Kind: providers.Transient, Message: "employee7 and employee8"}
	_, first := lane.Hide([]string{"employee7"}, handler.Report{}, shared)
	_, second := lane.Hide([]string{"employee8"}, handler.Report{}, shared)
	if shared.Message != "employee7 and employee8" || strings.Contains(first.Error(), "employee7") || strings.Contains(second.Error(), "employee8") {
		t.Errorf("%q, %q of %q", first, second, shared.Message)
	}
	if !errors.Is(first, shared) || providers.KindOf(first) != providers.Transient {
		t.Errorf("%v is no longer the platform's error", first)
	}
	if _, same := lane.Hide([]string{"employee9"}, handler.Report{}, shared); !errors.Is(same, shared) || same.Error() != shared.Error() {
		t.Errorf("an error that names no one became %v", same)
	}
}

// A successful attempt has a request id, too: it is logged, and kept as the result.
func TestARequestIDNamesNoPerson(t *testing.T) {
	t.Parallel()
	report, err := lane.Hide([]string{"employee7", "王芳"}, handler.Report{RequestID: "r1-EMPLOYEE7-王芳", Sends: 1}, nil)
	if err != nil || report.RequestID != "r1-e…7(9)-王**" || report.Sends != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}
