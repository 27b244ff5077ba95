package pace_test

import (
	"errors"
	"testing"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

func messages(t *testing.T, s *redistest.Server) int64 {
	t.Helper()
	months, err := pace.ReadMonths(t.Context(), s.Client(t), "lakeside")
	if err != nil {
		t.Fatal(err)
	}
	if months[0].Spent != 0 {
		t.Errorf("messages count as %d calls", months[0].Spent)
	}
	return months[0].Messages
}

func TestMessagesHaveAQuotaOfTheirOwn(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		month, err := pace.BookMessage(t.Context(), rdb, "lakeside", 2)
		if err == nil {
			_, err = pace.BookMessage(t.Context(), rdb, "lakeside", 2)
		}
		if n := messages(t, s); err != nil || n != 2 {
			t.Fatalf("%d messages are counted, %v; want 2", n, err)
		}
		_, err = pace.BookMessage(t.Context(), rdb, "lakeside", 2)
		if spent, ok := errors.AsType[*pace.MessagesSpentError](err); !ok || spent.Quota != 2 || messages(t, s) != 2 {
			t.Errorf("the third of 2 messages: %v, %d are counted", err, messages(t, s))
		}
		if err := pace.ReturnMessage(t.Context(), rdb, "lakeside", month); err != nil || messages(t, s) != 1 {
			t.Errorf("a message that was not sent: %v, %d are counted, want 1", err, messages(t, s))
		}
		for range 3 {
			if _, err := pace.BookMessage(t.Context(), rdb, "lakeside", 0); err != nil {
				t.Errorf("without a quota: %v", err)
			}
		}
	})
}

func TestACountOfMessagesThatIsNoNumberIsDamaged(t *testing.T) {
	t.Parallel()
	found := pace.DamagedMonths(map[string]string{"2026-11": "7", "2026-11:messages": "many", "2026-11:warned": "1", "2026-10:messages": "3"})
	if len(found) != 1 || found["2026-11:messages"] == "" {
		t.Errorf("found %+v", found)
	}
}
