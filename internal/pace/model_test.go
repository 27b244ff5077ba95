package pace_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

// epoch is a time shortly before a month ends in Shanghai.
var epoch = time.Date(2026, 11, 30, 15, 59, 30, 0, time.UTC)

func drawLimits(rt *rapid.T) []pace.Limit {
	kinds := []pace.Window{"", pace.Unknown, pace.Sliding, pace.Fixed, pace.Bucket}
	var limits []pace.Limit
	for i := range rapid.IntRange(1, 3).Draw(rt, "limits") {
		l := pace.Limit{
			Calls:  rapid.IntRange(1, 300).Draw(rt, "calls"),
			Per:    time.Duration(3*rapid.IntRange(100, 30_000).Draw(rt, "per_3ms")+i) * time.Millisecond,
			Window: rapid.SampledFrom(kinds).Draw(rt, "window"),
		}
		l.Burst = rapid.IntRange(0, l.Calls-1).Draw(rt, "burst")
		if i == 2 {
			l.Per, l.Burst = pace.Day, 0
		}
		limits = append(limits, l)
	}
	return limits
}

func drawQuota(rt *rapid.T) pace.Quota {
	if !rapid.Bool().Draw(rt, "bounded") {
		return pace.Quota{}
	}
	return pace.Quota{Calls: rapid.IntRange(1, 60).Draw(rt, "quota"), Reserve: rapid.IntRange(0, 20).Draw(rt, "reserve")}
}

// drawClockStep is by how much Redis' clock is set, mostly not at all: a replica with
// another clock takes over, or the clock is corrected.
func drawClockStep(rt *rapid.T) time.Duration {
	if rapid.IntRange(0, 7).Draw(rt, "clock set") != 0 {
		return 0
	}
	by := rapid.SampledFrom([]time.Duration{
		500 * time.Millisecond, 3 * time.Second, time.Minute, 2 * time.Hour, 365 * 24 * time.Hour,
	}).Draw(rt, "by")
	return by * time.Duration(rapid.SampledFrom([]int{-1, 1}).Draw(rt, "direction"))
}

// drawDamage sets a number of the model far ahead, and returns its field and the value.
func drawDamage(rt *rapid.T, m *pace.Model, us int64) (field string, far int64) {
	far = us + rapid.Int64Range(0, 400*24*3600*1_000_000).Draw(rt, "ahead")
	field = rapid.SampledFrom([]string{"pause", "next", "share_at", "refused_at", "seq", "epoch", "spread", "share", "free"}).Draw(rt, "field")
	switch field {
	case "seq":
		m.Seq = far
	case "epoch":
		m.Epoch = far
	case "spread":
		m.Spread = far
	case "share":
		m.Share = far
	case "free":
		m.Free = []int64{far}
	case "pause":
		m.Pause = far
	case "next":
		per := m.Limits[0].Per.Microseconds()
		field, m.Next[per] = "next:"+strconv.FormatInt(per, 10), far
	case "share_at":
		m.ShareAt = far
	case "refused_at":
		m.RefusedAt = far
	}
	return field, far
}

func TestTheScriptsAgreeWithTheModelOverRandomHistories(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client(t)
	key, month := pace.LaneKey("lakeside", "dt.nickname"), pace.MonthKey("lakeside")
	rapid.Check(t, func(rt *rapid.T) {
		s.Mini.FlushAll()
		m := &pace.Model{Limits: drawLimits(rt), Metered: rapid.Bool().Draw(rt, "metered"), Quota: drawQuota(rt)}
		lane := pace.New(rdb, pace.Config{Organisation: "lakeside", Name: "dt.nickname", Limits: m.Limits, Metered: m.Metered, Quota: m.Quota})
		now := epoch
		var booked []int64
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.OneOf(rapid.IntRange(0, 300_000), rapid.IntRange(0, 20_000_000)).Draw(rt, "us")) * time.Microsecond)
			now = now.Add(drawClockStep(rt))
			s.Mini.SetTime(now)
			us := now.UnixMicro()
			switch rapid.SampledFrom([]string{"book", "book", "book", "book", "refuse", "pause", "give", "said", "lost", "damage"}).Draw(rt, "step") {
			case "book", "lost":
				a := pace.Ask{Urgent: rapid.IntRange(0, 5).Draw(rt, "urgent"), Bulk: rapid.IntRange(0, 40).Draw(rt, "bulk")}
				for range rapid.IntRange(0, 3).Draw(rt, "early") {
					a.NotBefore = append(a.NotBefore, us+rapid.Int64Range(-1000, 400_000).Draw(rt, "not before"))
				}
				a.KnownEpoch = m.Epoch + int64(rapid.SampledFrom([]int{0, 0, 0, 0, 3}).Draw(rt, "epochs lost"))
				a.Known = m.Seq + int64(rapid.SampledFrom([]int{0, 0, 0, 0, 1}).Draw(rt, "memory lost"))
				a.KnownMonth, a.KnownSpent = rapid.SampledFrom([]string{"2026-11", "2026-12"}).Draw(rt, "month"), rapid.Int64Range(0, 70).Draw(rt, "spent")
				got, err := lane.Ask(a)
				if err != nil {
					rt.Fatal(err)
				}
				want := m.Book(us, a)
				if diff := cmp.Diff(want, got); diff != "" {
					rt.Fatalf("Book(%+v) at %s: the script differs from the model (-model +script):\n%s", a, now, diff)
				}
				booked = append(booked, want.Slots...)
			case "refuse":
				r := pace.Refusal{
					Period: rapid.SampledFrom([]int64{0, 1_000_000, 60_000_000}).Draw(rt, "period"),
					After:  rapid.SampledFrom([]int64{0, 0, 3_000_000}).Draw(rt, "after"),
				}
				if len(booked) > 0 {
					r.Slot = rapid.SampledFrom(booked).Draw(rt, "slot")
				}
				if err := lane.Refuse(r); err != nil {
					rt.Fatal(err)
				}
				m.Refuse(us, r)
			case "pause":
				d := time.Duration(rapid.IntRange(1, 5_000_000).Draw(rt, "pause")) * time.Microsecond
				if _, err := lane.Pause(t.Context(), d); err != nil {
					rt.Fatal(err)
				}
				m.PauseFor(us, d.Microseconds())
			case "give":
				var returns []pace.Return
				for i := range rapid.IntRange(0, min(3, len(booked))).Draw(rt, "slots") {
					at := booked[len(booked)-1-i]
					returns = append(returns, pace.Return{Slot: at, Epoch: m.Epoch, Counted: at})
				}
				for range rapid.IntRange(0, 2).Draw(rt, "uncounted") {
					returns = append(returns, pace.Return{Counted: us - rapid.Int64Range(0, 60_000_000).Draw(rt, "before")})
				}
				if err := lane.Give(returns...); err != nil {
					rt.Fatal(err)
				}
				m.GiveBack(us, returns...)
			case "damage":
				if m.Seq == 0 {
					continue
				}
				field, far := drawDamage(rt, m, us)
				if err := rdb.HSet(t.Context(), key, field, far).Err(); err != nil {
					rt.Fatal(err)
				}
			case "said":
				if m.Said == "" && rapid.IntRange(0, 5).Draw(rt, "rarely") == 0 {
					if err := pace.NoteMonthSpent(t.Context(), rdb, "lakeside"); err != nil {
						rt.Fatal(err)
					}
					m.Said = now.In(time.FixedZone("", 8*3600)).Format("2006-01")
				}
			}
			if diff := cmp.Diff(fields(m), stored(rdb.HGetAll(t.Context(), key).Val())); m.Seq+m.Refused+m.Epoch > 0 && diff != "" {
				rt.Fatalf("state (-model +script):\n%s", diff)
			}
			if got, _ := strconv.ParseInt(rdb.HGet(t.Context(), month, m.Month).Val(), 10, 64); m.Metered && got != m.Spent {
				rt.Fatalf("the script counts %d calls of %s, the model %d", got, m.Month, m.Spent)
			}
		}
	})
}

// fields returns the state as the scripts store it.
func fields(m *pace.Model) map[string]string {
	free := make([]string, len(m.Free))
	for i, at := range m.Free {
		free[i] = strconv.FormatInt(at, 10)
	}
	f := map[string]string{"day": m.Day, "free": strings.Join(free, " ")}
	for name, v := range map[string]int64{
		"seq": m.Seq, "pause": m.Pause, "epoch": m.Epoch, "start": m.Start, "spread": m.Spread, "bad": m.Bad, "bad_at": m.BadAt,
		"share": m.Share, "share_at": m.ShareAt, "cut_at": m.CutAt, "run": m.Run, "learned": m.Learned, "before": m.Before,
		"refused_at": m.RefusedAt, "refused": m.Refused, "day_calls": m.DayCalls, "clock": m.Clock,
	} {
		f[name] = strconv.FormatInt(v, 10)
	}
	for _, l := range m.Limits {
		if per := l.Per.Microseconds(); l.Per < pace.Day {
			f["next:"+strconv.FormatInt(per, 10)] = strconv.FormatInt(m.Next[per], 10)
		}
	}
	return f
}

func stored(h map[string]string) map[string]string {
	for _, name := range []string{"mark_at", "mark_seq", "old_at", "old_seq", "told", "gave"} {
		delete(h, name)
	}
	return h
}
