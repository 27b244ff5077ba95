package night_test

import (
	"strings"
	"testing"

	"rollcall/internal/redistest"
)

// A key that another program wrote is named with what to do, and no member is.
func TestAnUnreadableRecordOfAScheduleIsNamed(t *testing.T) {
	t.Parallel()
	for name, member := range map[string]string{"absent": "secret-user", "carried": "secret-user", "refused": "secret-user", "base": "", "open": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, redistest.One(t), class("chat1", 1, 3))
			key := "rollcall:{night:nightly}:" + name
			var err error
			if member != "" {
				err = r.rdb.HSet(t.Context(), key, member, "{").Err()
			} else {
				err = r.rdb.Set(t.Context(), key, "{", 0).Err()
			}
			if err != nil {
				t.Fatal(err)
			}
			r.at(nightOf(1))
			if _, err = r.nights.Run(t.Context(), r.night, nightOf(1)); err == nil ||
				!strings.Contains(err.Error(), "the key "+key+" cannot be read: delete it") || strings.Contains(err.Error(), "secret") {
				t.Errorf("the night ended with %v", err)
			}
			r.rdb.Del(t.Context(), key)
			if _, err := r.nights.Run(t.Context(), r.night, nightOf(1)); err != nil {
				t.Errorf("without the key: %v", err)
			}
		})
	}
}
