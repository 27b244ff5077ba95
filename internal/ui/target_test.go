package ui_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	holds "rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

func nicknameOf(key string) ledger.Target {
	return ledger.Target{Organisation: "lakeside", API: "nickname", Key: key}
}

func nickname(value string) []ledger.Field {
	return []ledger.Field{{Name: "nickname", Value: value, Mode: ledger.Value}}
}

// revision takes one for a change of a target.
func (o *office) revision(target ledger.Target) int64 {
	o.t.Helper()
	revised := o.ledger.Revise(o.t.Context(), ledger.Change{Target: target, TaskID: "producer"})[0]
	if revised.Err != nil {
		o.t.Fatal(revised.Err)
	}
	return revised.Revision
}

// begun begins a change, as a worker does.
func (o *office) begun(target ledger.Target, value string) *ledger.Lease {
	o.t.Helper()
	rev := o.revision(target)
	lease, _, err := o.ledger.Begin(o.t.Context(), ledger.Delivery{TaskID: fmt.Sprint("did-", rev), Target: target, Revision: rev, Fields: nickname(value)})
	if err != nil || lease == nil {
		o.t.Fatalf("begin: %v, %v", lease, err)
	}
	if err := lease.Check(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	return lease
}

// applied applies a nickname, and lists the target among those that a search reads.
func (o *office) applied(key, value string) {
	o.t.Helper()
	if err := o.begun(nicknameOf(key), value).Settle(o.t.Context(), "req-of-"+key, false, nil); err != nil {
		o.t.Fatal(err)
	}
}

func TestATargetShowsWhatItShouldBeWhatItIsAndHowThatIsKnown(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		const page = "/targets/lakeside-dt/nickname?target=chat1%2Fu1"
		o.wants(o.get("viewer", page), "rollcall knows nothing of this target.", "Check the spelling")
		o.applied("chat1/u1", "李四")
		body := o.get("viewer", page)
		o.wants(body, "Up to date.", "Should be 李** Is, as far as known 李** the platform accepted it", "req-of-chat1/**", "History: the last ten effects", "In flight no task")
		o.lacks(body, "李四")
		zh := o.chinese("viewer", page)
		o.wants(zh, "已是最新。", "应为", "目前已知为", "平台已接受", "请求 ID", "群昵称")
		wantTranslated(t, body)
		wantTranslated(t, zh)

		task := tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u1", Nickname: "王小明"}
		if result, err := o.producer.Enqueue(t.Context(), task, tasks.Options{}); err != nil || result.Outcome != tasks.Stored {
			t.Fatalf("enqueue: %+v, %v", result, err)
		}
		body = o.post("administrator", page, nil).body
		o.wants(body, "The latest change (group nickname) waits to be applied.", "Should be 王小明", "Is, as far as known 李四", "Task waiting", "Names and IDs of people are shown on this page.")

		if _, _, err := holds.NewStore(o.rdb).Put(t.Context(), holds.Hold{
			Scope: holds.Scope{Level: holds.Tenant, Name: "lakeside-dt"}, Class: holds.Operator, Reason: "the school moves", By: "ann", Since: o.now,
		}); err != nil {
			t.Fatal(err)
		}
		o.wants(o.get("viewer", page), "Tenant lakeside-dt is on hold: the school moves")

		lease := o.begun(nicknameOf("chat1/u2"), "赵六")
		other := "/targets/lakeside-dt/nickname?target=chat1%2Fu2"
		o.wants(o.get("viewer", other), "A task works on this target now.", "A request may be running now.")
		if err := lease.Release(t.Context(), ledger.Unanswered); err != nil {
			t.Fatal(err)
		}
		o.wants(o.get("viewer", other), "Unknown outcome: the request for the group nickname had no clear answer.", "The last request had no answer", "Nothing must be done: the next task sends again")
	})
}

func TestATargetWhoseLatestChangeDiedLinksItsDeadLetter(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		target := nicknameOf("chat1/u-1")
		rev := o.revision(target)
		open := ledger.Open{
			Change: ledger.Change{Target: target, Fields: nickname("王小明"), TaskID: "task-1"}, Revision: rev, Queue: "lakeside-dt.nickname",
			Type: "nickname:sync", Payload: []byte(fmt.Sprintf(`{"v":1,"rev":%d,"tenant":"lakeside-dt","chat_id":"chat1","user_id":"u-1","nickname":"王小明"}`, rev)),
		}
		if err := o.ledger.Stored(t.Context(), open); err != nil {
			t.Fatal(err)
		}
		if err := o.ledger.Close(t.Context(), target, "task-1", open.Row); err != nil {
			t.Fatal(err)
		}
		o.dies("1", o.now, func(d *ledger.DeadLetter) { d.Todo = "correct the user id in the roster" })
		page := "/targets/lakeside-dt/nickname?target=chat1%2Fu-1"
		body := o.get("operator", page)
		o.wants(body, "The latest change (group nickname) is a dead letter: it is not applied.", "correct the user id in the roster", "nothing was applied yet")
		o.wants(o.chinese("operator", page), "已成为死信，未生效", "更正花名册中的用户 ID")
		o.wants(o.get("operator", link(t, body, "/dead-letters/task")), "req-1", "correct the user id in the roster", "no longer in the queue")
		found := o.get("operator", "/search?q=chat1")
		o.wants(found, "failed dead letter")
		o.lacks(found, "waiting dead letter")
		o.wants(o.get("operator", link(t, found, "/dead-letters/task")), "req-1")
	})
}

// An address of a target holds no id of a person: it is in histories and logs.
func TestAddressesOfTargetsAreSealed(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		o.applied("chat1/u-12345678", "王小明")
		address := link(t, o.get("viewer", "/search?q=chat1"), "/targets/")
		if strings.Contains(address, "12345678") || !strings.Contains(address, "ref=") {
			t.Fatalf("address %s", address)
		}
		if again := link(t, o.get("operator", "/search?q=12345678"), "/targets/"); again != address {
			t.Errorf("another address of the same target: %s", again)
		}
		o.wants(o.get("viewer", address), "Up to date.", "chat1/u…8(10)")
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, address[len(address)-1])
		for name, forged := range map[string]string{
			"changed":        address[:len(address)-1] + alphabet[last^1:][:1], // a bit that may hold nothing
			"cut":            address[:len(address)-4],
			"empty":          "/targets/lakeside-dt/nickname?ref=",
			"of another API": strings.Replace(address, "/nickname?", "/id?", 1),
			"another tenant": strings.Replace(address, "/lakeside-dt/", "/nosuch/", 1),
		} {
			if a := o.do("viewer", http.MethodGet, forged, nil, nil); a.status != http.StatusNotFound {
				t.Errorf("%s: %d", name, a.status)
			}
		}
		for _, wrong := range []string{"", "?target=", "?target=chat1", "?target=" + strings.Repeat("x", 700), "?target=a%2Fb%2Fc"} {
			if a := o.do("viewer", http.MethodGet, "/targets/lakeside-dt/nickname"+wrong, nil, nil); a.status != http.StatusBadRequest {
				t.Errorf("%q: %d", wrong, a.status)
			}
		}
	})
}

func TestASearchReadsAPageAtATime(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		for i := range 53 {
			o.applied(fmt.Sprintf("chat1/u-1%03d", i), fmt.Sprintf("王小明%03d", i))
		}
		o.applied("chat2/other", "李四")
		o.wants(o.get("viewer", "/search"), "Finds members, chats, employees, courses and students")
		o.wants(o.get("viewer", "/search?q=nothing"), "Nothing was found.", "rollcall find --index")
		o.wants(o.chinese("viewer", "/search?q=nothing"), "没有找到。")
		seen, page, pages := map[string]bool{}, "/search?q="+url.QueryEscape("小明"), 0
		for ; page != ""; pages++ {
			body := o.get("viewer", page)
			page = ""
			for _, href := range elements(t, body, "a", "href") {
				if strings.HasPrefix(href, "/targets/") {
					if seen[href] {
						t.Errorf("%s twice", href)
					}
					seen[href] = true
				}
				if strings.Contains(href, "from=") {
					page = href
				}
			}
			wantTranslated(t, body)
		}
		if len(seen) != 53 || pages != 3 {
			t.Errorf("%d targets on %d pages, want 53 on 3", len(seen), pages)
		}
		if n := len(elements(t, o.get("viewer", "/search?kind=group&q=1"), "th", "scope")); n != 0 {
			t.Errorf("a search of chats found members")
		}
		o.wants(o.get("viewer", "/search?organisation=lakeside&kind=nickname&q=CHAT2"), "李**", "up to date")
		for _, from := range []string{"x", "0.0", "0.-1.0", "-1.0.0", "0.99999999999999999999999.0", "0.0.0.0"} {
			if a := o.do("viewer", http.MethodGet, "/search?q=1&from="+from, nil, nil); a.status != http.StatusUnprocessableEntity {
				t.Errorf("from %s: %d", from, a.status)
			}
		}
	})
}

func TestAnIDWithAnUnknownOutcomeNeedsAPerson(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		target := ledger.Target{Organisation: "lakeside", API: "id", Key: "u1"}
		rev := o.revision(target)
		lease, _, err := o.ledger.Begin(t.Context(), ledger.Delivery{
			TaskID: "task-id", Target: target, Revision: rev, Fields: []ledger.Field{{Name: "id", Value: "wang01", Mode: ledger.Once}},
		})
		if err != nil || lease == nil {
			t.Fatal(lease, err)
		}
		lease.Intend("wang01")
		if err := lease.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := lease.Lock(t.Context(), time.Now().Add(24*time.Hour), ledger.LockUnverified); err != nil {
			t.Fatal(err)
		}
		body := o.post("administrator", "/targets/lakeside-dt/id?target=u1", nil).body
		o.wants(body, "the DingTalk ID was sent and may or may not have been applied", "wang01 was sent, number of sends: 1", "Locked until", "a person must settle it")
		const page, settle = "/targets/lakeside-dt/id?target=u1", "/targets/lakeside-dt/id/settle?target=u1"
		form := url.Values{"verdict": {"confirm"}, "looked": {"1"}}
		if a := o.post("viewer", settle, form); a.status != http.StatusForbidden {
			t.Errorf("settled by a viewer: %d", a.status)
		}
		if a := o.post("operator", settle, url.Values{"verdict": {"confirm"}}); a.status != http.StatusUnprocessableEntity {
			t.Errorf("settled without a look: %d", a.status)
		}
		for _, wrong := range []string{"/targets/lakeside-dt/nickname/settle?target=a%2Fb", "/targets/nosuch/id/settle?target=u1"} {
			if a := o.post("operator", wrong, form); a.status != http.StatusNotFound {
				t.Errorf("%s: %d", wrong, a.status)
			}
		}
		o.wants(o.after("operator", o.post("operator", settle, form)), "Recorded: the ID w…1(6) was applied.", "Up to date.", "operator: confirmed that the ID was applied")
		if e := o.events("id.confirmed"); len(e) != 1 || e[0].By != "operator" || e[0].Name != "lakeside-dt.id" {
			t.Errorf("events: %+v", e)
		}
		o.lacks(o.get("operator", page), "/settle")
		o.wants(o.after("operator", o.post("operator", settle, url.Values{"verdict": {"reject"}, "looked": {"1"}})), "There is no unknown outcome any more.")
	})
}
