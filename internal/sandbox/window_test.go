package sandbox_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/sandbox"
)

// oneWindow sets a single limit for the nickname call and none for the others.
func oneWindow(w sandbox.Window) func(*sandbox.Config) {
	return func(c *sandbox.Config) {
		c.Limits.Windows = map[string][]sandbox.Window{sandbox.APIGroupNick: {w}, sandbox.APIToken: {}}
		c.Limits.MonthlyQuota = -1
	}
}

func TestEachKindOfWindowRefusesWhatItIsKnownToRefuse(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	type step struct {
		wait time.Duration // before the calls
		pass int           // this many pass
		deny int           // and this many after them do not
	}
	for _, c := range []struct {
		name   string
		window sandbox.Window
		steps  []step
	}{
		{"sliding is the default, per second", sandbox.Window{Calls: 3}, []step{
			{0, 1, 0}, {600 * ms, 2, 1}, {399 * ms, 0, 1}, {1 * ms, 1, 1}, {600 * ms, 2, 1},
		}},
		{"fixed lets twice the calls through around a turn", sandbox.Window{Kind: sandbox.Fixed, Calls: 3}, []step{
			{999 * ms, 3, 1}, {1 * ms, 3, 1}, {999 * ms, 0, 1}, {1 * ms, 3, 1},
		}},
		{"bucket starts full and refills evenly", sandbox.Window{Kind: sandbox.Bucket, Calls: 4}, []step{
			{0, 4, 1}, {249 * ms, 0, 1}, {1 * ms, 1, 1}, {500 * ms, 2, 1}, {10 * time.Second, 4, 1},
		}},
		{"a longer period", sandbox.Window{Calls: 2, Per: 20 * time.Second}, []step{
			{0, 2, 1}, {19 * time.Second, 0, 1}, {time.Second, 2, 1},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, oneWindow(c.window))
			token := r.northToken()
			for i, s := range c.steps {
				r.clock.Advance(s.wait)
				for n := range s.pass + s.deny {
					want := "0"
					if n >= s.pass {
						want = "88/90018"
					}
					if got := r.nick(token, "chat1", "ann", "A"); code(got) != want {
						t.Fatalf("step %d, call %d: %s, want %s", i, n, got.Body, want)
					}
				}
			}
		})
	}
}

// For any arrivals, a window keeps its bound over every stretch of time. The check uses
// the plain definition, not the code.
func TestNoArrivalsGetMoreThroughThanTheWindowPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		window := sandbox.Window{
			Kind:  rapid.SampledFrom([]sandbox.WindowKind{sandbox.Sliding, sandbox.Fixed, sandbox.Bucket}).Draw(rt, "kind"),
			Calls: rapid.IntRange(1, 4).Draw(rt, "calls"), Per: time.Second,
		}
		gaps := rapid.SliceOfN(rapid.IntRange(0, 700), 1, 25).Draw(rt, "gaps")
		r := start(t, oneWindow(window))
		defer r.server.Close()
		token := r.northToken()
		var passed []time.Time
		for _, gap := range gaps {
			r.clock.Advance(time.Duration(gap) * time.Millisecond)
			now := r.clock.Now()
			got := r.nick(token, "chat1", "ann", "A") // the verdict under test
			if code(got) == "0" {
				passed = append(passed, now)
				continue
			}
			if recent := within(passed, now, time.Second); recent == 0 {
				rt.Fatalf("%s: refused although nothing passed in the last second", window.Kind)
			} else if window.Kind == sandbox.Sliding && recent < window.Calls {
				rt.Fatalf("sliding: refused with only %d of %d in the last second", recent, window.Calls)
			}
		}
		for _, end := range passed {
			most := window.Calls
			if window.Kind != sandbox.Sliding {
				most = 2 * window.Calls // a full bucket plus its refill; two periods of a fixed one
			}
			if n := within(passed, end, time.Second); n > most {
				rt.Fatalf("%s: %d calls passed within a second, want at most %d", window.Kind, n, most)
			}
		}
	})
}

// within counts the instants in the period that ends with now, its start left out.
func within(instants []time.Time, now time.Time, period time.Duration) int {
	n := 0
	for _, at := range instants {
		if d := now.Sub(at); d >= 0 && d < period {
			n++
		}
	}
	return n
}

func TestTwentyASecondIsCountedPerAppAndPerAPI(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	north, south := r.northToken(), r.fetchToken("ding-south", "s-secret")
	for i := range 20 {
		if got := r.nick(north, "chat1", "ann", "A"); code(got) != "0" {
			t.Fatalf("call %d: %s", i, got.Body)
		}
	}
	answers(t, r.nick(north, "chat1", "ann", "A"), 200,
		`{"errcode":88,"sub_code":"90018","sub_msg":"the app calls this API too often in a second","errmsg":"ding talk error[subcode=90018,submsg=the app calls this API too often in a second]","request_id":"ID"}`)
	if got := r.group(north, `{"chatid":"chat1","name":"N"}`); code(got) != "ok" {
		t.Errorf("another API of the app: %s", got.Body)
	}
	if got := r.nick(south, "chat1", "ann", "A"); code(got) != "34001" {
		t.Errorf("another app: %s", got.Body)
	}
	if spent := r.north().Spent; spent != 21 {
		t.Errorf("%d calls metered, want 21: the throttled one does not count", spent)
	}
	for range 19 {
		r.group(north, `{"chatid":"chat1","name":"N"}`)
	}
	answers(t, r.group(north, `{"chatid":"chat1","name":"N"}`), 403,
		`{"code":"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi","requestid":"ID","message":"the app calls this API too often in a second"}`)
}

func TestAMinutesLimitHasAnotherCodeThanASecondsLimit(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *sandbox.Config) {
		c.Limits.Windows = map[string][]sandbox.Window{sandbox.APIGroupUpdate: {{Calls: 2}, {Calls: 3, Per: time.Minute}}}
	})
	token := r.northToken()
	const throttled = "Forbidden.AccessDenied."
	for _, want := range []string{"ok", "ok", throttled + "QpsLimitForAppkeyAndApi", "ok", throttled + "QpmLimitForAppkeyAndApi"} {
		if got := r.group(token, `{"chatid":"chat1","name":"N"}`); code(got) != want {
			t.Errorf("answer %s, want %s", got.Body, want)
		}
		if want == throttled+"QpsLimitForAppkeyAndApi" {
			r.clock.Advance(time.Second)
		}
	}
}

func TestTheMonthsQuotaIsSharedByTheAppsOfAnOrganisationAndTurnsInBeijing(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *sandbox.Config) {
		c.World.Organisations[0].Quota, c.World.Organisations[0].Spent = 5000, 4998
		c.World.Organisations[0].Apps[1].Missing = nil
	})
	first, second := r.northToken(), r.fetchToken("ding-bare", "b-secret")
	if got := r.nick(first, "chat1", "ann", "A"); code(got) != "0" {
		t.Errorf("call 4999: %s", got.Body)
	}
	if got := r.changeID(second, "ann", "no"); code(got) != "incorrect.length" {
		t.Errorf("call 5000, a refusal of the service: %s", got.Body)
	}
	const message = "the organisation has used 5000 of the 5000 calls of this month"
	answers(t, r.nick(second, "chat1", "ann", "A"), 200,
		`{"errcode":88,"sub_code":"90020","sub_msg":"`+message+`","errmsg":"ding talk error[subcode=90020,submsg=`+message+`]","request_id":"ID"}`)
	answers(t, r.group(first, `{"chatid":"chat1","name":"N"}`), 403,
		`{"code":"Forbidden.AccessDenied.ApiCountLimitForOrg","requestid":"ID","message":"`+message+`"}`)
	if got := r.nick(r.fetchToken("ding-south", "s-secret"), "chat1", "ann", "A"); code(got) != "34001" {
		t.Errorf("another organisation: %s", got.Body)
	}
	if call := r.box.Calls()[len(r.box.Calls())-3]; call.Code != "Forbidden.AccessDenied.ApiCountLimitForOrg" || call.Metered {
		t.Errorf("a call over the quota is logged as %+v", call)
	}

	turn := time.Date(2026, 4, 1, 0, 0, 0, 0, beijing) // still March in most of the world
	r.clock.Advance(turn.Sub(morning()) - time.Second)
	if got := r.nick(r.northToken(), "chat1", "ann", "A"); code(got) != "88/90020" {
		t.Errorf("a second before the month's turn: %s", got.Body)
	}
	r.clock.Advance(time.Second)
	if got := r.nick(r.northToken(), "chat1", "ann", "A"); code(got) != "0" {
		t.Errorf("at the month's turn: %s", got.Body)
	}
	if org := r.north(); org.Month != "2026-04" || org.Spent != 1 || org.Quota != 5000 {
		t.Errorf("%d of %d spent in %s, want 1 of 5000 in 2026-04", org.Spent, org.Quota, org.Month)
	}
}

func TestAnAddressThatCallsTooMuchIsShutOutOfDingTalkForFiveMinutes(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *sandbox.Config) { c.Limits.Address = sandbox.Window{Calls: 3, Per: 20 * time.Second} })
	token := r.northToken()
	r.nick(token, "chat1", "ann", "A")
	r.nick(token, "chat1", "ann", "A")
	const ban = `{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"ID"}`
	answers(t, r.nick(token, "chat1", "ann", "A"), 200, ban)
	r.clock.Advance(5*time.Minute - time.Second)
	answers(t, r.group(token, `{"chatid":"chat1","name":"N"}`), 200, ban)
	answers(t, r.must("POST", "/v1.0/oauth2/accessToken", "application/json", `{}`), 200, ban)
	if got := r.course("1001", "s-north", "501"); code(got) != "1" {
		t.Errorf("ClassIn was shut too: %s", got.Body)
	}
	r.clock.Advance(time.Second)
	if got := r.nick(token, "chat1", "ann", "A"); code(got) != "0" {
		t.Errorf("after the ban: %s", got.Body)
	}
}
