package schedule_test

import (
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/schedule"
)

// A list costs the same commands for any number of entries.
func TestAListHasThePauseAndTheNewestTickOfEachEntry(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		store := schedule.NewStore(rdb)
		if survey, err := store.List(t.Context()); err != nil || len(survey.Entries) != 0 || survey.Leader {
			t.Fatalf("before a worker leads: %+v, %v", survey, err)
		}
		for _, name := range []string{"a", "b", "c"} {
			if err := rdb.HSet(t.Context(), "rollcall:{schedule}:entries", name, `{"cron":"@daily","zone":"UTC","overlap":"queue","window":3600,"does":"x"}`).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := rdb.Set(t.Context(), "rollcall:{schedule}:leader", "w", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Pause(t.Context(), "b", "ann", "holidays"); err != nil {
			t.Fatal(err)
		}
		tick, err := store.RunNow(t.Context(), "c", "bob", "again")
		if err != nil {
			t.Fatal(err)
		}
		survey, err := store.List(t.Context())
		if err != nil || !survey.Leader || len(survey.Entries) != 3 {
			t.Fatalf("%+v, %v", survey, err)
		}
		a, b, c := survey.Entries[0], survey.Entries[1], survey.Entries[2]
		if a.Pause != nil || a.Last != nil || a.Next.IsZero() {
			t.Errorf("a: %+v", a)
		}
		if b.Pause == nil || b.Pause.By != "ann" || b.Pause.Reason != "holidays" || time.Since(b.Pause.Since).Abs() > 24*time.Hour || !b.Next.IsZero() || b.Last != nil {
			t.Errorf("b: %+v", b)
		}
		if c.Pause != nil || c.Last == nil || c.Last.ID != tick.ID() || c.Last.By != "bob" || c.Last.Reason != "again" || !c.Last.At.Equal(tick.At) {
			t.Errorf("c: %+v", c)
		}
	})
}
