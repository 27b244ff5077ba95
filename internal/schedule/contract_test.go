package schedule_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
)

// asynq does not document it, but this package depends on it. asynq enqueues a task
// with the options that PreEnqueueFunc sets, also with several schedulers. It ignores
// an option that it does not know. Of two tasks with one id it rejects the second.
func TestAsynqEnqueuesWithTheOptionsThatPreEnqueueFuncLeaves(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		events := make(chan error, 1000)
		for range 2 {
			client, err := redisdb.Open(s.URL())
			if err != nil {
				t.Fatal(err)
			}
			// asynq enqueues from a new goroutine each time, a second apart: on a busy
			// machine two at once. Its heartbeat reads the options too.
			var mu sync.Mutex
			scheduler := asynq.NewScheduler(redisdb.ConnOpt(client), &asynq.SchedulerOpts{
				LogLevel: asynq.FatalLevel,
				PreEnqueueFunc: func(_ *asynq.Task, options []asynq.Option) {
					mu.Lock()
					options[1] = asynq.TaskID("tick-1")
				},
				PostEnqueueFunc: func(_ *asynq.TaskInfo, err error) {
					mu.Unlock()
					events <- err
				},
			})
			_, err = scheduler.Register("@every 1s", asynq.NewTask("t", nil),
				shown{mu.Lock}, asynq.TaskID("next"), shown{mu.Unlock}, asynq.Queue("contract"), asynq.Retention(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if err := scheduler.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(scheduler.Shutdown)
		}
		stored, refused := 0, 0
		for range 4 {
			select {
			case err := <-events:
				switch {
				case err == nil:
					stored++
				case errors.Is(err, asynq.ErrTaskIDConflict):
					refused++
				default:
					t.Error(err)
				}
			case <-time.After(patience):
				t.Fatal("asynq's schedulers do not enqueue")
			}
		}
		if stored != 1 || refused != 3 {
			t.Errorf("of four enqueues by two schedulers %d were stored and %d rejected, want 1 and 3", stored, refused)
		}
		if info, err := r.inspector.GetTaskInfo("contract", "tick-1"); err != nil || info.Type != "t" {
			t.Errorf("the task: %v, %v", info, err)
		}
	})
}

// shown is an option that asynq does not have, and that runs a function when the
// heartbeat reads it.
type shown struct{ read func() }

func (s shown) String() string       { s.read(); return "Shown()" }
func (shown) Type() asynq.OptionType { return -1 }
func (shown) Value() any             { return nil }

// The options around the id keep asynq's heartbeat from reading it, as long as the
// heartbeat reads all options once, in order and with String. The web page must also
// accept options that asynq does not know.
func TestAsynqReadsTheOptionsOfAnEntryInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	client, err := redisdb.Open(r.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	reads := make(chan string, 100)
	scheduler := asynq.NewScheduler(redisdb.ConnOpt(client), &asynq.SchedulerOpts{HeartbeatInterval: 500 * time.Millisecond, LogLevel: asynq.FatalLevel})
	_, err = scheduler.Register("0 0 1 1 *", asynq.NewTask("t", nil),
		recorded{"first", reads}, asynq.TaskID("next"), recorded{"last", reads})
	if err != nil {
		t.Fatal(err)
	}
	if err := scheduler.Start(); err != nil {
		t.Fatal(err)
	}
	defer scheduler.Shutdown()
	for i, want := range []string{"first", "last", "first", "last"} {
		select {
		case got := <-reads:
			if got != want {
				t.Errorf("read %d is of %s, want %s", i+1, got, want)
			}
		case <-time.After(patience):
			t.Fatal("asynq's heartbeat does not read the options")
		}
	}
	if entries, err := r.inspector.SchedulerEntries(); err != nil || len(entries) != 1 {
		t.Errorf("%d entries are shown, %v", len(entries), err)
	}
}

type recorded struct {
	name  string
	reads chan<- string
}

func (o recorded) String() string {
	select {
	case o.reads <- o.name:
	default: // enough is known
	}
	return "Recorded()"
}
func (recorded) Type() asynq.OptionType { return -1 }
func (recorded) Value() any             { return nil }
