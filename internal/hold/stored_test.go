package hold_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/hold"
	"rollcall/internal/redistest"
)

func TestAnotherProcessReadsAHoldAsItWasPut(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		beijing := time.FixedZone("Asia/Shanghai", 8*60*60)
		h := refused(hold.Scope{Level: hold.Tenant, Name: "dt"})
		h.Bulk, h.Since, h.Until = true, began.In(beijing).Add(300*time.Microsecond), began.Add(time.Hour).In(beijing)
		h.Reason = `钉钉 said "no" / <b>` + "\n\x1b[31m"
		want := h
		want.Since, want.Until, want.Next = began, began.Add(time.Hour), began.Add(5*time.Second)
		stored := put(t, hold.NewStore(s.Client(t)), h, hold.Entered)
		for _, got := range [][]hold.Hold{{stored}, reread(t, s.Client(t))} {
			if diff := cmp.Diff([]hold.Hold{want}, got, likeness); diff != "" {
				t.Errorf("-put +read:\n%s", diff)
			}
		}
	})
}

func TestHoldsOfANewerVersionAreReadOrSkipped(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		put(t, hold.NewStore(rdb), refused(lane), hold.Entered)
		field := rdb.HKeys(t.Context(), hold.Key).Val()[0]
		raw := rdb.HGet(t.Context(), hold.Key, field).Val()
		newer := strings.Replace(raw, "{", `{"weight":{"kg":[1,2]},`, 1)
		tenant := hold.Scope{Level: hold.Tenant, Name: "dt"}
		broken := map[string]string{
			"tenant:dt/auto":     "not JSON",
			"tenant:dt/operator": `["a","list"]`,
			"tenant:hill/auto":   raw, // belongs to another field
			"lane:x.id/auto":     strings.ReplaceAll(strings.Replace(raw, `"since":"2026`, `"since":[1],"was":"2026`, 1), "dt.nickname", "x.id"),
			"planet:earth/auto":  `{"level":"planet","name":"earth","class":"refused","reason":"r","since":"2026-03-01T00:00:00Z","by":"w"}`,
		}
		if err := rdb.HSet(t.Context(), hold.Key, field, newer).Err(); err != nil {
			t.Fatal(err)
		}
		if err := rdb.HSet(t.Context(), hold.Key, broken).Err(); err != nil {
			t.Fatal(err)
		}
		b := hold.NewStore(rdb)
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, h := range b.All() {
			names = append(names, h.String())
		}
		if diff := cmp.Diff([]string{"lane dt.nickname", "planet earth"}, names); diff != "" {
			t.Errorf("-want +read:\n%s", diff)
		}
		// A stored value that cannot be read does not prevent a hold.
		put(t, b, operator(tenant), hold.Entered)
		put(t, b, refused(tenant), hold.Entered)
		put(t, b, refused(hold.Scope{Level: hold.Lane, Name: "x.id"}), hold.Entered)
		h := put(t, b, refused(lane), hold.Same)
		if ended, err := b.End(t.Context(), h, "worker-1"); !ended || err != nil {
			t.Errorf("a newer version's hold: ended %t, %v", ended, err)
		}
	})
}

// overtaken writes once between the command of a read and the use of its answer.
type overtaken struct {
	redis.Hook

	write func()
}

func (o *overtaken) DialHook(next redis.DialHook) redis.DialHook { return next }

func (o *overtaken) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (o *overtaken) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if write := o.write; cmd.Name() == "hgetall" && write != nil {
			o.write = nil
			write()
		}
		return err
	}
}

func TestAReadDoesNotHideAHoldThatWasPutDuringIt(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client(t)
	b := hold.NewStore(rdb)
	hook := &overtaken{}
	hook.write = func() { put(t, b, refused(lane), hold.Entered) }
	rdb.AddHook(hook)
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(b.Of(lane)) != 1 {
		t.Error("the lane takes tasks until the next read")
	}
}

func TestAScopeIsParsedAsItIsPrinted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]hold.Scope{
		"dt.nickname":           lane,
		"lane dt.nickname":      lane,
		"tenant dt":             {Level: hold.Tenant, Name: "dt"},
		"organisation lakeside": {Level: hold.Organisation, Name: "lakeside"},
		"address office":        {Level: hold.Address, Name: "office"},
	} {
		if got, ok := hold.ParseScope(text); !ok || got != want {
			t.Errorf("%q is read as %v, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "dt", "tenant ", "planet earth"} {
		if got, ok := hold.ParseScope(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func TestEveryHoldStatesHowItEnds(t *testing.T) {
	t.Parallel()
	for _, class := range hold.Classes() {
		h := hold.Hold{Scope: hold.Scope{Level: hold.Tenant, Name: "dt"}, Class: class}
		if class == hold.Operator && h.HowToEnd() != "rollcall lanes release tenant dt" || h.HowToEnd() == "" {
			t.Errorf("%s: %q", class, h.HowToEnd())
		}
		h.Scope = lane
		if class == hold.Operator && h.HowToEnd() != "rollcall lanes release dt.nickname" {
			t.Errorf("%s: %q", class, h.HowToEnd())
		}
		h.Probe = hold.ByTask
		if !strings.HasSuffix(h.HowToEnd(), "rollcall lanes release dt.nickname") {
			t.Errorf("%s: %q", class, h.HowToEnd())
		}
	}
}

func TestTheStoredFormOfAHoldIsFixed(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client(t)
	h := refused(lane)
	h.Bulk, h.Until, h.Tries, h.Probing = true, began.Add(time.Hour), 2, "worker-2"
	h.Seen = hold.Seen{Host: "oapi.dingtalk.com", Status: 200, Code: "40014", First: began, Last: began.Add(time.Second), Count: 3}
	put(t, hold.NewStore(rdb), h, hold.Entered)
	want := map[string]any{
		"level": "lane", "name": "dt.nickname", "class": "refused", "reason": "40014: the app secret is wrong", "bulk": true,
		"since": "2026-03-01T03:12:00Z", "until": "2026-03-01T04:12:00Z", "by": "worker-1", "probe": "token",
		"next": "2026-03-01T03:12:05Z", "tries": 2.0, "probing": "worker-2",
		"seen": map[string]any{
			"host": "oapi.dingtalk.com", "status": 200.0, "code": "40014",
			"first": "2026-03-01T03:12:00Z", "last": "2026-03-01T03:12:01Z", "count": 3.0,
		},
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(rdb.HGet(t.Context(), hold.Key, "lane:dt.nickname/auto").Val()), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +stored:\n%s", diff)
	}
}
