package schedule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/kinds"
	"rollcall/internal/logtest"
	"rollcall/internal/redistest"
	"rollcall/internal/schedule"
	"rollcall/internal/table"
)

func TestATickThatIsCarriedOutTwiceEnqueuesEachRowOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		path := threePeople(t)
		r.run(r.config(night(path)))
		r.enqueue("night", nightID)
		if got := r.done(nightID); got.Stored != 3 {
			t.Fatalf("%d stored, want 3", got.Stored)
		}
		// Line 3 is corrected between the two attempts.
		content := "kind,tenant,chat_id,user_id,nickname\nnickname,lakeside-dt,c1,u1,张三\nnickname,lakeside-dt,c1,u2,李四四\nnickname,lakeside-dt,c1,u3,Ann\n"
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.inspector.DeleteTask(schedule.Queue, nightID); err != nil {
			t.Fatal(err)
		}
		r.enqueue("night", nightID)
		want := result{Schedule: "night", Tick: "2026-03-01T18:30:00Z", Tasks: 3, Stored: 1, AlreadyThere: 2}
		if diff := cmp.Diff(want, r.done(nightID)); diff != "" {
			t.Errorf("second attempt (-want +got):\n%s", diff)
		}
		if got := r.stored(nickQueue); got != 4 {
			t.Errorf("%d tasks stored, want 3 and the corrected one", got)
		}
		pending, err := r.inspector.ListPendingTasks(nickQueue)
		if err != nil {
			t.Fatal(err)
		}
		rows := map[int]int{}
		for _, info := range pending {
			run, row := kinds.RunOf(info.Headers)
			if run != "night.20260301T183000Z" {
				t.Errorf("task %s belongs to run %q", info.ID, run)
			}
			rows[row]++
		}
		if diff := cmp.Diff(map[int]int{2: 1, 3: 2, 4: 1}, rows); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
	})
}

func TestTheNextNightEnqueuesTheSameRowsAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	path := filepath.Join(t.TempDir(), "roster.csv")
	content := "kind,tenant,chat_id,user_id,nickname,key\nnickname,lakeside-dt,c1,u1,Ann,mine\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run(r.config(night(path)))
	for _, id := range []string{nightID, "night@2026-03-02T18:30:00Z"} {
		r.enqueue("night", id)
		if got := r.done(id); got.Stored != 1 {
			t.Errorf("%s: %+v, want one stored in spite of the key in the file", id, got)
		}
	}
}

func TestBadRowsAreReportedAndTheOthersEnqueued(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	path := writeRoster(t,
		"nickname,lakeside-dt,c1,u1,张三",
		"nickname,lakeside-dt,c1,u2,",
		"nickname,unknown,c1,u3,Ann",
		"name,lakeside-dt,c1,u4,Bo",
		"nickname,lakeside-dt,c1",
		"nickname,lakeside-dt,c1,u5,李四")
	cfg := r.config(night(path))
	log := &logtest.Buffer{}
	cfg.Log = log.Logger()
	w := r.run(cfg)
	r.enqueue("night", nightID)
	want := result{
		Schedule: "night", Tick: "2026-03-01T18:30:00Z", Tasks: 6, Stored: 2, Refused: 4,
		Problems: []string{
			"line 3: column nickname is missing",
			`line 4: no worker serves nickname tasks of tenant "unknown": served for nickname tasks are lakeside-dt`,
			"line 5: column kind must be nickname, course, group, id or student (昵称, 课程, 群, 钉钉号, 学生)",
			"line 6: column user_id is missing; column nickname is missing",
		},
	}
	if diff := cmp.Diff(want, r.done(nightID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.end(t)
	text := log.String()
	if !strings.Contains(text, "level=WARN") || !strings.Contains(text, "line 3: column nickname is missing") {
		t.Errorf("the log does not report it:\n%s", text)
	}
	if strings.Contains(text, "张三") {
		t.Errorf("the log contains a name:\n%s", text)
	}
}

func TestAResultHoldsTheFirstProblemsAndCountsTheRest(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	r.run(r.config(night(writeRoster(t, strings.Split(strings.Repeat("nickname,lakeside-dt,c1,,x\n", 500), "\n")...))))
	r.enqueue("night", nightID)
	if got := r.done(nightID); got.Refused != 500 || len(got.Problems) != 20 {
		t.Errorf("%d refused and %d problems shown, want 500 and 20", got.Refused, len(got.Problems))
	}
	if result := string(r.tick(nightID).Result); !strings.Contains(result, `"problems_not_shown":480`) {
		t.Errorf("the rest is not counted: %s", result)
	}
}

func TestCoursesAreEnqueuedByTheirIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	r.run(r.config(schedule.Entry{
		Name: "courses", Cron: "0 3 * * *",
		Courses: schedule.Courses{Tenant: "lakeside-ci", IDs: []string{"561294", "561295"}},
	}))
	r.enqueue("courses", "courses@2026-03-01T03:00:00Z")
	if got := r.done("courses@2026-03-01T03:00:00Z"); got.Stored != 2 {
		t.Errorf("%+v, want two stored", got)
	}
	if got := r.stored("lakeside-ci.course"); got != 2 {
		t.Errorf("%d tasks stored, want 2", got)
	}
}

// dead waits until a tick is a dead letter, and returns its cause.
func (r *rig) dead(id string) string {
	r.t.Helper()
	r.until(id+" is a dead letter", func() bool {
		info, err := r.inspector.GetTaskInfo(schedule.Queue, id)
		return err == nil && info.State == asynq.TaskStateArchived
	})
	return r.tick(id).LastErr
}

func TestAMissingRosterIsADeadLetterWithItsCauseAfterItsAttempts(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		path := filepath.Join(t.TempDir(), "missing.csv")
		r.run(once(r.config(night(path))))
		r.enqueue("night", nightID)
		want := fmt.Sprintf("schedule night: roster %s: no such file or directory: put the roster there, "+
			"or correct its path in the configuration · given up after 2 attempts", path)
		if got := r.dead(nightID); got != want {
			t.Errorf("cause:\n%s\nwant:\n%s", got, want)
		}
	})
}

func TestAnUnreadableRosterEnqueuesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	r.run(once(r.config(night(writeRoster(t, "nickname,lakeside-dt,c1,u1,Ann", "nickname,lakeside-dt,c1,u2,\"Bo")))))
	r.enqueue("night", nightID)
	if got := r.dead(nightID); !strings.Contains(got, "roster.csv: the quote that opens in line 3 is never closed") || !strings.Contains(got, "nothing of it was enqueued") {
		t.Errorf("cause: %s", got)
	}
	if got := r.stored(nickQueue); got != 0 {
		t.Errorf("%d tasks stored, want none", got)
	}
}

func TestARosterThatIsAPipeIsADeadLetterAndDoesNotHang(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	path, _ := slowRoster(t)
	r.run(once(r.config(night(path))))
	r.enqueue("night", nightID)
	if got := r.dead(nightID); !strings.Contains(got, "this is a pipe or a device, not a regular file") {
		t.Errorf("cause: %s", got)
	}
}

func TestARosterOfASpreadsheetIsRead(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	path := filepath.Join(t.TempDir(), "名单.csv")
	const names = "\xc0\xe0\xd0\xcd;\xd7\xe2\xbb\xa7;\xc8\xbaID;\xd3\xc3\xbb\xa7ID;\xc8\xba\xea\xc7\xb3\xc6\r\n" // 类型;租户;群ID;用户ID;群昵称
	if err := os.WriteFile(path, []byte(names+"\xea\xc7\xb3\xc6;lakeside-dt;c1;u1;\xd5\xc5\xc8\xfd\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run(r.config(night(path)))
	r.enqueue("night", nightID)
	if got := r.done(nightID); got.Stored != 1 || got.Refused != 0 {
		t.Errorf("%+v, want one stored", got)
	}
}

func TestATaskThatIsNotATickIsADeadLetterAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	cfg := r.config(night(threePeople(t)))
	cfg.Waits = []time.Duration{time.Hour}
	r.run(cfg)
	r.enqueue("night", "night@yesterday")
	want := `not a tick: its id is "night@yesterday", not night@ and a time in UTC: ` +
		"find the other program that writes to queue rollcall.schedule, and discard the task"
	if got := r.dead("night@yesterday"); got != want {
		t.Errorf("cause:\n%s\nwant:\n%s", got, want)
	}
}

// waits waits until a tick waits for an uncounted retry, and returns the reason.
func (r *rig) waits() string {
	r.t.Helper()
	const id = nightID
	var info *asynq.TaskInfo
	r.until(id+" waits for a retry", func() bool {
		var err error
		info, err = r.inspector.GetTaskInfo(schedule.Queue, id)
		return err == nil && info.State == asynq.TaskStateRetry
	})
	if info.Retried != 0 {
		r.t.Errorf("%s: an attempt was counted", id)
	}
	return info.LastErr
}

func TestATickOfANewerWorkerWaitsForAnUpgrade(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	r.run(r.config(night(threePeople(t))))
	client := asynq.NewClientFromRedisClient(r.rdb)
	_, err := client.EnqueueContext(t.Context(), asynq.NewTask(schedule.Type, []byte(`{"v":3,"plan":"night"}`)),
		asynq.Queue(schedule.Queue), asynq.TaskID(nightID))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.waits(); !strings.Contains(got, "upgrade the other workers") {
		t.Errorf("cause: %s", got)
	}
}

func TestTicksOfOneEntryDoNotOverlap(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		const running = "rollcall:{schedule}:running:night"
		r.rdb.Set(t.Context(), running, "another tick", time.Hour)
		r.run(r.config(night(threePeople(t))))
		r.enqueue("night", nightID)
		if got := r.waits(); !strings.Contains(got, "another tick of this schedule") {
			t.Errorf("cause: %s", got)
		}
		r.rdb.Del(t.Context(), running)
		if got := r.done(nightID); got.Stored != 3 {
			t.Errorf("%+v, want three stored", got)
		}
		if r.rdb.Exists(t.Context(), running).Val() != 0 {
			t.Error("the tick has ended but is still marked as running")
		}
	})
}

// openPipe opens a named pipe, which blocks until a writer opens it.
func openPipe(path string) (*table.Input, error) {
	if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
		return table.OpenFile(path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return table.Spool(file)
}

// slowRoster is a file whose read blocks as long as the test wants: opening it for
// writing returns when a tick has started to read. It needs openPipe.
func slowRoster(t *testing.T) (path string, open func() *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "roster.csv")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	return path, func() *os.File {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
}

func TestAStopWaitsForARunningTick(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		path, open := slowRoster(t)
		cfg := r.config(night(path))
		cfg.Open = openPipe
		cfg.Grace = patience
		w := r.run(cfg)
		r.enqueue("night", nightID)
		file := open()
		w.stop()
		r.until("there is no leader", func() bool { return r.rdb.Exists(t.Context(), leaderKey).Val() == 0 })
		if _, err := file.WriteString("kind,tenant,chat_id,user_id,nickname\nnickname,lakeside-dt,c1,u1,Ann\n"); err != nil {
			t.Fatal(err)
		}
		file.Close()
		w.end(t)
		if info := r.tick(nightID); info.State != asynq.TaskStateCompleted || r.stored(nickQueue) != 1 {
			t.Errorf("the tick is %s, %d stored: the stop did not wait for it", info.State, r.stored(nickQueue))
		}
	})
}

func TestATickThatExceedsTheGraceReturnsUncounted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		path, open := slowRoster(t)
		cfg := r.config(night(path))
		cfg.Open = openPipe
		cfg.Grace = time.Millisecond
		log := &logtest.Buffer{}
		cfg.Log = log.Logger()
		w := r.run(cfg)
		r.enqueue("night", nightID)
		file := open()
		w.stop()
		r.until("the tick is cancelled", func() bool { return strings.Contains(log.String(), "cancelled") })
		if _, err := file.WriteString("kind,tenant,chat_id,user_id,nickname\nnickname,lakeside-dt,c1,u1,Ann\n"); err != nil {
			t.Fatal(err)
		}
		file.Close()
		w.end(t)
		if got := r.waits(); !strings.Contains(got, "1 of 1 task not stored yet: the worker stopped") {
			t.Errorf("cause: %s", got)
		}
		// The next worker continues it.
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("kind,tenant,chat_id,user_id,nickname\nnickname,lakeside-dt,c1,u1,Ann\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r.run(r.config(night(path)))
		if got := r.done(nightID); got.Stored != 1 {
			t.Errorf("%+v, want one stored", got)
		}
	})
}

// Of two rows for one target, the later must be stored later, at every attempt.
func TestNoRowIsStoredBeforeAnEarlierOneOfItsTarget(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.run(r.config(night(writeRoster(t,
			"nickname,lakeside-dt,c1,u1,Ann", "nickname,lakeside-dt,c1,u1,Anna", "nickname,lakeside-dt,c1,u2,Bo"))))
		r.enqueue("night", nightID)
		if got := r.done(nightID); got.Stored != 3 {
			t.Fatalf("%+v, want three stored", got)
		}
		// Repeat it as if the first row's key could not be reserved and the second row
		// had not been stored.
		first, second := r.rowKey(2), r.rowKey(3)
		held := r.rdb.Get(t.Context(), first).Val()
		r.rdb.Set(t.Context(), first, "no reservation", 0)
		r.rdb.Del(t.Context(), second)
		if err := r.inspector.DeleteTask(schedule.Queue, nightID); err != nil {
			t.Fatal(err)
		}
		r.enqueue("night", nightID)
		r.until("an attempt that failed", func() bool {
			info, err := r.inspector.GetTaskInfo(schedule.Queue, nightID)
			return err == nil && info.LastErr != ""
		})
		if got := r.result(nightID); got.NotStored != 2 || got.AlreadyThere != 1 {
			t.Errorf("%+v, want two not stored and one already there", got)
		}
		if r.rdb.Exists(t.Context(), second).Val() != 0 {
			t.Error("the second row was stored although the first was not")
		}
		r.rdb.Set(t.Context(), first, held, 0)
		if got := r.done(nightID); got.Stored != 1 || got.AlreadyThere != 2 {
			t.Errorf("at the next attempt: %+v, want the second row stored", got)
		}
	})
}

// rowKey returns the Redis key of a row's reservation.
func (r *rig) rowKey(line int) string {
	r.t.Helper()
	keys := r.rdb.Keys(r.t.Context(), fmt.Sprintf("rollcall:key:lakeside-dt:%s/%d/*", nightID, line)).Val()
	if len(keys) != 1 {
		r.t.Fatalf("line %d has %d keys", line, len(keys))
	}
	return keys[0]
}
