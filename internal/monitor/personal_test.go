package monitor_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/kinds"
	"rollcall/internal/monitor"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// shownTask is a task as asynq's web UI shows it.
type shownTask struct {
	Payload string `json:"payload"`
	Result  string `json:"result"`
}

// shown returns what the UI shows of the only task in the queue.
func shown(t *testing.T, url, state string) shownTask {
	t.Helper()
	status, body := ask(t, get(url+"/monitor/api/queues/"+queue+"/"+state+"_tasks"))
	var list struct {
		Tasks []shownTask `json:"tasks"`
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK || len(list.Tasks) != 1 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	return list.Tasks[0]
}

func encoded(t *testing.T, task tasks.Task) (typename, payload string) {
	t.Helper()
	typename, content, err := kinds.Encode(task, 17)
	if err != nil {
		t.Fatal(err)
	}
	return typename, string(content)
}

func TestPeopleAreMaskedInWhatTheWebUIShows(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		task tasks.Task
		want string
	}{
		{
			"nickname",
			tasks.NicknameSync{Tenant: "a", ChatID: "chat7Af3929", UserID: "employee7", Nickname: "7A Zoë Brontë"},
			`{"v":1,"rev":17,"tenant":"a","chat_id":"chat7Af3929","user_id":"e…7(9)","nickname":"7…(13)"}`,
		},
		{
			"group",
			tasks.GroupUpdate{
				Tenant: "a", ChatID: "chat1", Name: "Parents of Zoë", Owner: "owner77", OwnerType: "emp", Options: tasks.GroupOptions{Searchable: new(0)},
				AddUserIDs: []string{"arrives1"}, DelUserIDs: []string{"leaves22"}, AddExtIDs: []string{"outside333"}, DelExtIDs: []string{"x"},
			},
			`{"v":1,"rev":17,"tenant":"a","chat_id":"chat1","name":"P…(14)","owner":"o…7(7)","owner_type":"emp","options":{"searchable":0},` +
				`"add_user_ids":["a…1(8)"],"del_user_ids":["l…2(8)"],"add_ext_ids":["o…3(10)"],"del_ext_ids":["**"]}`,
		},
		{
			"ID",
			tasks.IDChange{Tenant: "a", UserID: "u007", DingTalkID: "zoebronte", Alternatives: []string{"zoebronte1815"}},
			`{"v":1,"rev":17,"tenant":"a","user_id":"**","dingtalk_id":"z…e(9)","alternatives":["z…5(13)"]}`,
		},
		{"course", tasks.CourseSync{Tenant: "a", CourseID: "561290"}, `{"v":1,"rev":17,"tenant":"a","course_id":"561290"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.One(t)
			typename, payload := encoded(t, row.task)
			put(t, s, typename, payload)
			if got := shown(t, serve(t, s, monitor.Config{}), "pending").Payload; got != row.want {
				t.Errorf("shown\n%s\nwant\n%s", got, row.want)
			}
			if got := shown(t, serve(t, s, monitor.Config{ShowPersonalData: true}), "pending").Payload; got != payload {
				t.Errorf("with personal data allowed it shows\n%s\nwant\n%s", got, payload)
			}
		})
	}
}

func TestAnUnreadablePayloadIsShownByItsLength(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ typename, payload string }{
		"broken":       {kinds.TypeNicknameSync, `{"v":1,"nickname":"Zoë`},
		"newer":        {kinds.TypeNicknameSync, `{"v":2,"nickname":"Zoë"}`},
		"unknown":      {"somebody:else", `{"name":"Zoë"}`},
		"not in UTF-8": {kinds.TypeNicknameSync, "Zo\xebZoë"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.One(t)
			put(t, s, row.typename, row.payload)
			got := shown(t, serve(t, s, monitor.Config{}), "pending").Payload
			if strings.Contains(got, "Zo") || !strings.Contains(got, "bytes, not shown") {
				t.Errorf("shown: %s", got)
			}
		})
	}
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		s := redistest.One(t)
		put(t, s, "schedule:tick", `{"schedule":"nightly"}`)
		if got := shown(t, serve(t, s, monitor.Config{PlainTypes: []string{"schedule:tick"}}), "pending").Payload; got != `{"schedule":"nightly"}` {
			t.Errorf("shown: %s", got)
		}
	})
}

func TestResultsContainNoNames(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ typename, result, want string }{
		"ours":    {kinds.TypeIDChange, `{"outcome":"applied","request_id":"r1","sends":2,"took":"zoebronte"}`, `{"outcome":"applied","request_id":"r1","sends":2,"took":"z…e(9)"}`},
		"unknown": {"somebody:else", `{"took":"zoebronte"}`, "20 bytes, not shown: they may name people"},
		"broken":  {kinds.TypeIDChange, `zoebronte`, "9 bytes, not shown: they may name people"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.One(t)
			complete(t, s, row.typename, row.result)
			if got := shown(t, serve(t, s, monitor.Config{}), "completed").Result; got != row.want {
				t.Errorf("shown %s, want %s", got, row.want)
			}
			if got := shown(t, serve(t, s, monitor.Config{ShowPersonalData: true}), "completed").Result; got != row.result {
				t.Errorf("with personal data allowed it shows %s", got)
			}
		})
	}
}

// complete makes asynq run a task that leaves a result.
func complete(t *testing.T, s *redistest.Server, typename, result string) {
	t.Helper()
	put(t, s, typename, `{}`, asynq.Retention(time.Hour))
	server := asynq.NewServerFromRedisClient(s.Client(t), asynq.Config{
		Queues: map[string]int{queue: 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	err := server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		_, err := task.ResultWriter().Write([]byte(result))
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	inspector := asynq.NewInspectorFromRedisClient(s.Client(t))
	await(t, func() bool {
		info, err := inspector.GetQueueInfo(queue)
		return err == nil && info.Completed == 1
	})
}
