package schedule_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall/internal/schedule"
)

const goodPayload = `{"v":1,"schedule":"night"}`

func TestATickIsReadStrictly(t *testing.T) {
	t.Parallel()
	got, err := schedule.DecodeTick(nightID, []byte(goodPayload))
	want := time.Date(2026, 3, 1, 18, 30, 0, 0, time.UTC)
	if err != nil || got.Schedule != "night" || !got.At.Equal(want) || got.ID() != nightID {
		t.Errorf("%+v, %v", got, err)
	}
	const started = "night@now-2026-03-01T18:30:00Z"
	got, err = schedule.DecodeTick(started, []byte(`{"v":2,"schedule":"night"}`))
	if err != nil || !got.Manual || !got.At.Equal(want) || got.ID() != started || got.RunName() != "night.now-20260301T183000Z" {
		t.Errorf("tick of a person: %+v, %v", got, err)
	}
	for _, row := range []struct{ id, payload, want string }{
		{nightID, ``, "not a JSON object"},
		{nightID, `[]`, "not a JSON object"},
		{nightID, `{"v":"1","schedule":"night"}`, "not a JSON object with a version"},
		{nightID, `{"v":1,"v":1,"schedule":"night"}`, "not a JSON object"},
		{nightID, `{"schedule":"night"}`, "not of the form"},
		{nightID, `{"v":1,"Schedule":"night"}`, "not of the form"},
		{nightID, `{"v":1,"schedule":"night","tick":"x"}`, "not of the form"},
		{nightID, `{"v":1,"schedule":"day"}`, "its id is"},
		{nightID, `{"v":1,"schedule":"a b"}`, "not of the form"},
		{nightID, `{"v":1,"schedule":"` + strings.Repeat("n", 5000) + `"}`, "bytes, at most 4096"},
		{"night", goodPayload, "its id is"},
		{"night@2026-03-01T18:30:00+00:00", goodPayload, "its id is"},
		{"night@now-now-2026-03-01T18:30:00Z", goodPayload, "its id is"},
		{"night@2026-03-01T18:30:00.5Z", goodPayload, "its id is"},
		{"night@2026-03-02T02:30:00+08:00", goodPayload, "its id is"},
	} {
		_, err := schedule.DecodeTick(row.id, []byte(row.payload))
		if _, malformed := errors.AsType[*schedule.PayloadError](err); !malformed || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %.60s: error %v, want one that contains %q", row.id, row.payload, err, row.want)
		}
	}
	_, err = schedule.DecodeTick("?", []byte(`{"v":3,"plan":"night"}`))
	if newer, ok := errors.AsType[*schedule.NewerVersionError](err); !ok || newer.Version != 3 {
		t.Errorf("tick of a newer version: %v", err)
	}
}

func FuzzDecodeTick(f *testing.F) {
	f.Add(nightID, goodPayload)
	f.Add("a@0000-01-01T00:00:00Z", `{"v":1,"schedule":"a"}`)
	f.Add("a@b@c", `{"v":9}`)
	f.Fuzz(func(t *testing.T, id, payload string) {
		got, err := schedule.DecodeTick(id, []byte(payload))
		if err == nil && got.ID() != id {
			t.Errorf("%q is read as %q", id, got.ID())
		}
	})
}
