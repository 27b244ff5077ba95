package ui_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

const rejected = "/dead-letters/cause?lane=lakeside-dt.nickname&class=rejected&code=40035"

func TestDeadLettersAreShownByCauseWithTrendAndWhatToDo(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		o.wants(o.get("viewer", "/dead-letters"), "There are no dead letters.")
		o.wants(o.chinese("viewer", "/dead-letters"), "没有死信。")
		o.dies("old", o.now.Add(-72*time.Hour), nil)
		for i := range 3 {
			o.dies(fmt.Sprint("new", i), o.now.Add(-time.Duration(i)*time.Minute), nil)
		}
		o.dies("busy", o.now, func(d *ledger.DeadLetter) { d.Class, d.Code, d.Message = "busy", "", "timeout" })
		body := o.get("operator", "/dead-letters")
		o.wants(body, "5 dead letters of 2 causes wait for a person.", "rejected 40035", "3 in 24 h", "first seen 3 days ago", "lakeside-dt", "organisation lakeside",
			"To do: the task is wrong: correct it with replay --set", "platform or network down", "Replay all")
		zh := o.chinese("operator", "/dead-letters")
		o.wants(zh, "有 5 条死信（2 种原因）等待处理。", "被平台拒绝 40035", "24 小时内 3 条", "任务本身有误", "平台或网络中断了数小时", "群昵称", "全部重放")
		wantTranslated(t, body)
		wantTranslated(t, zh)
		if rects := elements(t, body, "rect", "height"); len(rects) != 48 {
			t.Errorf("%d hours in the trends, want 48", len(rects))
		}
		o.lacks(o.get("operator", "/dead-letters?class=busy"), "40035<")
		o.wants(o.get("operator", "/dead-letters?class=busy&kind=nickname&tenant=lakeside-dt"), "1 dead letter of 1 cause")
		o.wants(o.get("operator", "/dead-letters?class=partial"), "There are no dead letters.")
	})
}

func TestTextsOfPlatformsAndNamesAreShownAsTexts(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: hostile, UserID: hostile, Nickname: hostile}, 7)
		if err != nil {
			t.Fatal(err)
		}
		target, _ := kinds.Change(tasks.NicknameSync{ChatID: hostile, UserID: hostile}, "lakeside")
		o.dies("x", o.now, func(d *ledger.DeadLetter) {
			d.ID, d.Type, d.Payload, d.Target, d.Run = hostile, typename, payload, target.Key, hostile
			d.Code, d.Message, d.RequestID, d.Todo, d.Class, d.Key, d.Organisation = hostile, hostile, hostile, hostile, "rejected", hostile, hostile
		})
		o.applied(target.Key, hostile)
		o.schedule("nightly")
		if a := o.post("operator", "/schedules/nightly/pause", url.Values{"reason": {hostile}}); a.status != http.StatusSeeOther {
			t.Fatalf("pause: %d", a.status)
		}
		list := o.get("administrator", "/dead-letters")
		cause := link(t, list, "/dead-letters/cause")
		one := link(t, o.get("administrator", cause), "/dead-letters/task")
		found := "/search?q=" + url.QueryEscape("<script>")
		for _, page := range []string{"/dead-letters", cause, one, link(t, list, "do=discard"), found, link(t, o.get("viewer", found), "/targets/"), "/schedules", "/schedules/nightly", "/audit", "/audit?by=" + url.QueryEscape(hostile)} {
			wantHarmless(t, o.get("administrator", page))
			if page == cause || page == one || page == found {
				body := o.post("administrator", page, nil).body
				wantHarmless(t, body)
				o.wants(body, "<script>alert(1)</script>")
			}
		}
		a := o.post("operator", "/dead-letters/discard", url.Values{"lane": {"lakeside-dt.nickname"}, "id": {hostile}, "reason": {hostile}})
		wantHarmless(t, o.after("operator", a))
		wantHarmless(t, o.get("operator", "/audit"))
		if n := o.deadLetters(); n != 0 {
			t.Errorf("%d dead letters are left", n)
		}
	})
}

func TestACauseIsReadPageByPage(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		for i := range 45 {
			o.dies(fmt.Sprintf("%03d", i), o.now.Add(-time.Duration(i)*time.Second), nil)
		}
		seen, page := map[string]bool{}, rejected
		for pages := 1; ; pages++ {
			body := o.get("viewer", page)
			for _, href := range elements(t, body, "a", "href") {
				if strings.HasPrefix(href, "/dead-letters/task?") {
					if seen[href] {
						t.Errorf("%s twice", href)
					}
					seen[href] = true
				}
			}
			next := ""
			for _, href := range elements(t, body, "a", "href") {
				if strings.Contains(href, "from=") {
					next = href
				}
			}
			if next == "" {
				if pages != 3 {
					t.Errorf("%d pages, want 3", pages)
				}
				break
			}
			page = next
		}
		if len(seen) != 45 {
			t.Errorf("%d of 45 dead letters on the pages", len(seen))
		}
		if a := o.do("viewer", http.MethodGet, rejected+"&from=%00%ff", nil, nil); a.status >= 500 {
			t.Errorf("a cursor of somebody else: %d", a.status)
		}
		if a := o.do("viewer", http.MethodGet, "/dead-letters/cause?lane=x&class=y", nil, nil); a.status != http.StatusNotFound {
			t.Errorf("a cause that does not exist: %d", a.status)
		}
	})
}

func TestOneDeadLetterIsReplayedAndAnotherDiscarded(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		for _, id := range []string{"a", "b", "c"} {
			o.dies(id, o.now, nil)
		}
		one := func(id string) url.Values { return url.Values{"lane": {"lakeside-dt.nickname"}, "id": {"task-" + id}} }
		o.wants(o.after("operator", o.post("operator", "/dead-letters/replay", one("a"))), "Replayed: the task is in its queue.")
		if n := o.rdb.LLen(t.Context(), "asynq:{lakeside-dt.nickname}:pending").Val(); n != 1 {
			t.Errorf("%d tasks wait after a replay", n)
		}
		if a := o.post("operator", "/dead-letters/discard", one("b")); a.status != http.StatusUnprocessableEntity {
			t.Errorf("discarded without a reason: %d", a.status)
		}
		form := one("b")
		form.Set("reason", "left the school")
		o.wants(o.after("operator", o.post("operator", "/dead-letters/discard", form)), "Discarded.")
		if n := o.deadLetters(); n != 1 {
			t.Errorf("%d dead letters are left, want 1", n)
		}
		replayed, discarded := o.events("dead.replayed"), o.events("dead.discarded")
		if len(replayed) != 1 || replayed[0].By != "operator" || len(discarded) != 1 || discarded[0].By != "operator" || !strings.Contains(discarded[0].Reason, "left the school") {
			t.Errorf("events: %+v, %+v", replayed, discarded)
		}
		if a := o.post("operator", "/dead-letters/replay", one("a")); a.status != http.StatusNotFound {
			t.Errorf("replayed twice: %d", a.status)
		}
	})
}

func TestAllOfACauseAreSettledAfterAPageThatNamesTheirNumber(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		for i := range 130 { // two pages of the service
			o.dies(fmt.Sprint("r", i), o.now.Add(-time.Minute), nil)
		}
		o.dies("no-code", o.now.Add(-time.Minute), func(d *ledger.DeadLetter) { d.Code = "" })
		body := o.get("operator", link(t, o.get("operator", rejected), "do=replay"))
		o.wants(body, "130 dead letters are enqueued again.", "Replay 130")
		form := url.Values{}
		for _, name := range []string{"lane", "class", "code", "until"} {
			form.Set(name, hidden(t, body, name))
		}
		o.dies("later", o.now.Add(time.Minute), nil)
		o.wants(o.after("operator", o.post("operator", "/dead-letters/replay", form)), "Replayed: 130.", "no such user")
		if n := o.deadLetters(); n != 2 {
			t.Errorf("%d dead letters are left, want the later one and that without a code", n)
		}
		if n := o.rdb.LLen(t.Context(), "asynq:{lakeside-dt.nickname}:pending").Val(); n != 130 {
			t.Errorf("%d tasks wait, want 130", n)
		}
		body = o.get("operator", "/dead-letters/confirm?do=discard&lane=lakeside-dt.nickname&class=rejected&code=")
		o.wants(body, "1 dead letter is deleted.")
		form = url.Values{}
		for _, name := range []string{"lane", "class", "code", "until"} {
			form.Set(name, hidden(t, body, name))
		}
		if a := o.post("operator", "/dead-letters/discard", form); a.status != http.StatusUnprocessableEntity {
			t.Errorf("discarded without a reason: %d", a.status)
		}
		form.Set("reason", "not needed")
		o.wants(o.after("operator", o.post("operator", "/dead-letters/discard", form)), "Discarded: 1.")
		if n := o.deadLetters(); n != 1 {
			t.Errorf("%d dead letters are left, want the later one", n)
		}
		if e := o.events("dead.replayed"); len(e) != 1 || e[0].More["count"] != "130" || e[0].By != "operator" {
			t.Errorf("events: %+v", e)
		}
	})
}

func TestDeadLettersThatWouldFailAgainStayWithTheReason(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		o.dies("bad", o.now.Add(-time.Minute), func(d *ledger.DeadLetter) { d.Payload = []byte("no JSON") })
		body := o.get("operator", link(t, o.get("operator", rejected), "do=replay"))
		form := url.Values{}
		for _, name := range []string{"lane", "class", "code", "until"} {
			form.Set(name, hidden(t, body, name))
		}
		o.wants(o.after("operator", o.post("operator", "/dead-letters/replay", form)), "as they would fail again: 1", "First reason: payload of nickname:sync")
		o.wants(o.get("operator", "/dead-letters/task?lane=lakeside-dt.nickname&id=task-bad"), "No task can be read from its 7 bytes.")
		if n := o.deadLetters(); n != 1 {
			t.Errorf("%d dead letters are left, want 1", n)
		}
	})
}

func TestADeadLetterIsCorrectedInPlace(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		d := o.dies("12345678", o.now, nil)
		page := "/dead-letters/task?lane=lakeside-dt.nickname&id=" + d.ID
		body := o.get("operator", page)
		o.lacks(body, "u-12345678", "王小明12345678")
		form := url.Values{"lane": {d.Lane}, "id": {d.ID}}
		for _, name := range elements(t, body, "input", "name") {
			if strings.HasPrefix(name, "set.") || strings.HasPrefix(name, "was.") {
				form.Set(name, hidden(t, body, name))
			}
		}
		if a := o.post("operator", "/dead-letters/correct", form); a.status != http.StatusUnprocessableEntity {
			t.Errorf("nothing corrected: %d", a.status)
		}
		form.Set("set.nickname", strings.Repeat("长", 300))
		a := o.post("operator", "/dead-letters/correct", form)
		if a.status != http.StatusUnprocessableEntity || o.deadLetters() != 1 {
			t.Errorf("a nickname of 300 characters: %d", a.status)
		}
		o.wants(a.body, "The corrected change cannot be enqueued", "nickname")
		form.Set("set.nickname", "王大明")
		o.wants(o.after("operator", o.post("operator", "/dead-letters/correct", form)), "Corrected: it is enqueued as task")
		if n := o.deadLetters(); n != 0 {
			t.Errorf("%d dead letters are left", n)
		}
		ids := o.rdb.LRange(t.Context(), "asynq:{lakeside-dt.nickname}:pending", 0, -1).Val()
		if len(ids) != 1 {
			t.Fatalf("%d tasks wait", len(ids))
		}
		open, found, err := o.ledger.OpenTask(t.Context(), "lakeside", "nickname", ids[0])
		if err != nil || !found {
			t.Fatal(found, err)
		}
		task, meta, err := kinds.Decode(open.Type, open.Payload)
		if want := (tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u-12345678", Nickname: "王大明"}); task != want || meta.Revision <= d.Revision || err != nil {
			t.Errorf("enqueued %+v at %d, %v", task, meta.Revision, err)
		}
		if e := o.events("dead.replayed"); len(e) != 1 || !strings.Contains(e[0].Reason, "corrected: nickname") || strings.Contains(e[0].Reason, "王") {
			t.Errorf("events: %+v", e)
		}
	})
}

func TestARevealedFormCanRemoveAField(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		typename, payload, err := kinds.Encode(tasks.GroupUpdate{Tenant: "lakeside-dt", ChatID: "chat1", Name: "三年二班", AddUserIDs: []string{"u-1", "u-2"}}, 7)
		if err != nil {
			t.Fatal(err)
		}
		d := o.dies("g", o.now, func(d *ledger.DeadLetter) {
			d.Lane, d.Kind, d.Type, d.Payload, d.Target = "lakeside-dt.group", "group", typename, payload, "chat1"
		})
		page := "/dead-letters/task?lane=lakeside-dt.group&id=" + d.ID
		body := o.post("administrator", page, nil).body
		form := url.Values{"lane": {d.Lane}, "id": {d.ID}}
		for _, name := range elements(t, body, "input", "name") {
			if strings.HasPrefix(name, "set.") || strings.HasPrefix(name, "was.") {
				form.Set(name, hidden(t, body, name))
			}
		}
		if got := form.Get("set.add_user_ids"); got != "u-1,u-2" {
			t.Fatalf("the form begins with %q", got)
		}
		form.Set("set.name", "")
		form.Set("set.options.searchable", "0")
		o.wants(o.after("administrator", o.post("administrator", "/dead-letters/correct", form)), "Corrected")
		ids := o.rdb.LRange(t.Context(), "asynq:{lakeside-dt.group}:pending", 0, -1).Val()
		if len(ids) != 1 {
			t.Fatalf("%d tasks wait", len(ids))
		}
		open, _, err := o.ledger.OpenTask(t.Context(), "lakeside", "group", ids[0])
		if err != nil {
			t.Fatal(err)
		}
		task, _, err := kinds.Decode(open.Type, open.Payload)
		group, is := task.(tasks.GroupUpdate)
		if err != nil || !is || group.Name != "" || len(group.AddUserIDs) != 2 || group.Options.Searchable == nil || *group.Options.Searchable != 0 {
			t.Errorf("enqueued %+v, %v", task, err)
		}
	})
}

// hidden returns the value of an input.
func hidden(t *testing.T, body, name string) string {
	t.Helper()
	for n := range parse(t, body).Descendants() {
		if n.Data != "input" {
			continue
		}
		is, value := false, ""
		for _, a := range n.Attr {
			is = is || a.Key == "name" && a.Val == name
			if a.Key == "value" {
				value = a.Val
			}
		}
		if is {
			return value
		}
	}
	t.Fatalf("no input %s", name)
	return ""
}

// Every page costs at most 50 commands, with many dead letters in many lanes as well.
func TestAPageCostsAtMost50Commands(t *testing.T) {
	t.Parallel()
	dead, lanes := 2000, 200
	if !testing.Short() {
		dead, lanes = 50_000, 1000
	}
	s := redistest.Real(t)
	o := newOffice(t, s)
	names := make([]string, lanes)
	for i := range lanes {
		tenant := fmt.Sprint("school", i)
		o.publish(tenant, "org"+strconv.Itoa(i/5), tasks.KindNickname)
		names[i] = registry.Queue(tenant, tasks.KindNickname, false)
	}
	o.manyDead(names, dead)
	o.applied("chat1/u-1", "王小明")
	o.schedule("nightly", "weekly", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14", "s15", "s16", "s17", "s18", "s19", "s20")
	cause := link(t, o.get("operator", "/dead-letters"), "/dead-letters/cause")
	one := link(t, o.get("operator", cause), "/dead-letters/task")
	target := link(t, o.get("operator", one), "/targets/")
	for _, page := range []string{
		"/dead-letters", "/dead-letters?from=15", cause, one, target, link(t, o.get("operator", cause), "do=replay"), "/search?q=zzz", "/search?q=u-1", "/search?q=u",
		"/schedules", "/schedules/nightly", "/audit", "/audit?by=zzz",
	} {
		o.get("operator", page) // the scripts are known then
		o.commands.Store(0)
		begun := time.Now()
		o.get("operator", page)
		n := o.commands.Load()
		t.Logf("%-60.60s %3d commands, %s", page, n, time.Since(begun).Round(time.Millisecond))
		if n > 50 {
			t.Errorf("%s costs %d commands", page, n)
		}
	}
	o.wants(o.get("operator", "/search?q=zzz"), "targets were read for this page; there are more.")
}

// manyDead adds dead letters by turns to lanes, as the ledger stores them.
func (o *office) manyDead(lanes []string, n int) {
	o.t.Helper()
	pipe := o.rdb.Pipeline()
	for i, lane := range lanes {
		if err := o.ledger.Announce(o.t.Context(), lane); err != nil {
			o.t.Fatal(err)
		}
		tenant, _, _ := strings.Cut(lane, ".")
		d := o.dies(fmt.Sprint("many-", i), o.now, func(d *ledger.DeadLetter) { d.Lane, d.Tenant = lane, tenant })
		body := o.rdb.HGet(o.t.Context(), "rollcall:{"+lane+"}:dead:letters", d.ID).Val()
		for k := 1; k < n/len(lanes); k++ {
			at := fmt.Sprintf("%016d", o.now.Add(-time.Duration(k)*time.Minute).UnixMicro())
			id := fmt.Sprint(d.ID, "-", k)
			pipe.HSet(o.t.Context(), "rollcall:{"+lane+"}:dead:letters", id, body)
			pipe.HSet(o.t.Context(), "rollcall:{"+lane+"}:dead:places", id, at+"rejected|40035")
			for _, index := range []string{":dead:times", ":dead:causes:rejected|40035"} {
				pipe.Do(o.t.Context(), "ZADD", "rollcall:{"+lane+"}"+index, 0, at+id)
			}
			pipe.HIncrBy(o.t.Context(), "rollcall:{"+lane+"}:dead:causes", "rejected|40035", 1)
			if pipe.Len() > 5000 {
				if _, err := pipe.Exec(o.t.Context()); err != nil {
					o.t.Fatal(err)
				}
			}
		}
	}
	if _, err := pipe.Exec(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}
