package night_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/night"
	"rollcall/internal/redistest"
	"rollcall/internal/secret"
	"rollcall/internal/source"
)

// A night whose content a server has not sent again is a whole night: every row is compared,
// no member is missing, and the report says that the content is that of the last night.
func TestYesterdaysContentIsAWholeNightAndReported(t *testing.T) {
	t.Parallel()
	long(t)
	school := class("chat1", 1, 20)
	var lines strings.Builder
	for _, m := range school {
		lines.WriteString(m.chat + "," + m.user + "," + m.name + "\n")
	}
	csv := "chat_id,user_id,nickname\n" + lines.String()
	var saved atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") != "" {
			saved.Add(1)
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(csv))
	}))
	t.Cleanup(server.Close)
	from, err := source.NewHTTPS(source.HTTPSSpec{URL: secret.New(server.URL)})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, redistest.One(t), school)
	r.night.Source, r.night.Absence = from, night.Absence{Nights: 1, Chats: []string{"chat1"}}
	r.work()
	if got := r.whole(1); got.Applied != 20 || got.Same || saved.Load() != 0 {
		t.Fatalf("the first night is %+v", got)
	}
	for n := 2; n <= 3; n++ {
		got := r.whole(n)
		if got.State != night.StateDone || !got.Same || !got.Complete || got.Rows != 20 || got.Unchanged != 20 || got.Missing+got.Removed+got.Planned+got.Drift != 0 ||
			saved.Load() != int64(n-1) {
			t.Fatalf("night %d is %+v; %d contents were not sent", n, got, saved.Load())
		}
		if lines := got.Lines(night.English, shanghai); !strings.Contains(lines[0].Text, "the same as the last night") || lines[0].Bad {
			t.Errorf("night %d is reported as %+v", n, lines[0])
		}
	}
}
