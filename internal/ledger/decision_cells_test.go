package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// cell is a state with what else the script reads and writes, and no rule asks for.
type cell struct {
	state

	prompt bool   // the send follows at once
	row    string // the result of the task's row before; "": nothing
	noted  bool   // the producer has noted the task
	step   string // how far the task has come before, and at which revision
}

// TestBeginDecidesEveryCellAsTheRulesSay compares the reply of begin.lua, and all
// that it writes, with docs/ledger.md in every state.
func TestBeginDecidesEveryCellAsTheRulesSay(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		var cells []cell
		for _, mode := range modes {
			for _, s := range states(mode) {
				cells = append(cells, cell{state: s, row: "w", noted: true})
			}
		}
		checkCells(t, s, cells)
	})
}

// TestBeginWritesWhatADecisionNeeds does the same for one state of each rule, with
// all that the task and its run can look like.
func TestBeginWritesWhatADecisionNeeds(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		var cells []cell
		for _, mode := range modes {
			seen := map[int]bool{}
			for _, s := range states(mode) {
				n, _ := decide(s)
				if seen[n] {
					continue
				}
				seen[n] = true
				for _, prompt := range []bool{false, true} {
					for _, row := range []string{"", "w", "a", "d"} {
						cells = append(cells, cell{s, prompt, row, true, ""}, cell{s, prompt, row, false, ""})
					}
					cells = append(cells, cell{s, prompt, "w", true, "this"}, cell{s, prompt, "w", true, "other"})
				}
			}
		}
		checkCells(t, s, cells)
	})
}

const (
	field     = "field"
	wanted    = "wanted"
	row       = 2
	leaseLeft = int64(3_600_000)
)

// moment is what the cells' numbers are about: revisions around one that is an
// hour ahead, so that the age of a young edit is the same for as long as a test takes.
type moment struct{ ms, rev int64 }

func (m moment) earlier() int64 { return m.rev - 1 }
func (m moment) later() int64   { return m.rev + 1 }
func (m moment) old() int64     { return m.ms*1000 - 121_000_000 }

// held is all that Redis holds of a cell.
type held struct {
	Target map[string]string
	Edits  []string // in their order
	Open   []string // ids of the tasks with a record
	Ended  bool
	Row    string
	Late   string  // when a resend of the target is due: now, later or ""
	Kept   [3]bool // whether target, edits and run expire
	// Confirmed says that the target is in the index of all targets.
	Confirmed bool
}

// before is what Redis holds when the task begins.
func (c cell) before(m moment) held {
	number := strconv.FormatInt
	h := held{Target: map[string]string{"rev": number(m.later(), 10)}}
	put := func(dead, value string) { h.Target[dead+":"+field] = value }
	switch c.lease {
	case "running":
		h.Target["own"], h.Target["until"] = "another", number(m.ms+leaseLeft, 10)
	case "expired":
		h.Target["own"], h.Target["until"] = "another", "1000"
	case "own":
		h.Target["own"], h.Target["until"] = "attempt", number(m.ms+leaseLeft, 10)
	}
	put("n", number(m.rev, 10))
	if c.latest == "later" {
		put("n", number(m.later(), 10))
	}
	if c.mode == ledger.Edit {
		delete(h.Target, "n:"+field)
		if c.value == "equal" {
			put("m", number(m.old(), 10)+" "+number(m.rev, 10)+" "+number(m.later(), 10)+" ")
		} else {
			put("m", number(m.old(), 10)+" "+number(m.later(), 10)+" ")
		}
	}
	switch c.applied {
	case "earlier":
		put("r", number(m.earlier(), 10))
	case "this":
		put("r", number(m.rev, 10))
	case "later":
		put("r", number(m.later(), 10))
	}
	if c.applied != "never" && c.mode != ledger.Edit && c.mode != ledger.Effect {
		put("v", map[string]string{"other": "another", "equal": wanted, "substitute": "instead"}[c.value])
		if c.value == "substitute" {
			put("w", wanted)
		}
	}
	switch c.outcome {
	case "unanswered":
		put("d", number(m.earlier(), 10))
	case "answered":
		put("d", number(m.earlier(), 10)+" answered")
	}
	if how, resent := strings.CutPrefix(c.outcome, "resent, "); resent {
		applied := h.Target["r:"+field]
		put("d", map[string]string{"unanswered": applied, "answered": applied + " answered"}[how])
	}
	if c.outcome != "known" && c.mode == ledger.Once {
		put("i", "1 5 6 task value")
	}
	if c.late == "yes" {
		put("q", "5")
	}
	switch c.lock {
	case "running":
		put("l", number(m.ms/1000+3600, 10)+" applied")
	case "over":
		put("l", "5 said")
	case "unverified":
		put("l", number(m.ms/1000+3600, 10)+" unverified")
	}
	switch c.step {
	case "this":
		h.Target["p:"+number(m.rev, 10)] = "3"
		put("k", number(m.rev, 10)+" 3")
	case "other":
		h.Target["p:"+number(m.earlier(), 10)] = "3"
		put("k", number(m.earlier(), 10)+" 3")
	}
	if c.noted {
		h.Open = append(h.Open, "this")
		if c.mode == ledger.Edit {
			h.Edits = append(h.Edits, "this")
		}
	}
	if c.turn != "first" {
		h.Edits = slices.Insert(h.Edits, 0, "earlier")
	}
	if c.turn == "behind a stored edit" {
		h.Open = slices.Insert(h.Open, 0, "earlier")
	}
	h.Row = c.row
	if resends(c.mode) {
		h.Late = "now"
	}
	return h
}

func (c cell) score(id string, m moment) float64 {
	switch {
	case id == "this":
		return float64(m.rev)
	case c.turn == "behind a young edit":
		return float64(m.earlier())
	}
	return float64(m.old())
}

// after is what the rules say that Redis answers and holds then.
func (c cell) after(m moment, h held) (reply []string, after held) {
	_, d := decide(c.state)
	h.Target = maps.Clone(h.Target)
	if resends(c.mode) { // and waits if it fails
		h.Late = "later"
	}
	rev := strconv.FormatInt(m.rev, 10)
	edit := c.mode == ledger.Edit
	if edit && d.name != settled.name && !done.holds(c.state) { // it keeps its position until it ends
		h.Edits, h.Open = with(h.Edits, "this"), with(h.Open, "this")
		h.Kept[1] = true
	}
	switch d.name {
	case wait.name:
		return []string{"busy", "MS"}, h
	case queued.name:
		return []string{"behind", "1", "earlier"}, h
	}
	if edit && d.name != settled.name && c.turn == "behind an abandoned edit" {
		h.Edits = slices.DeleteFunc(h.Edits, func(id string) bool { return id == "earlier" })
	}
	answer := c.answer(d, h)
	if d.sends {
		return []string{"go", answer, "S"}, c.taken(d, h, rev)
	}
	if d.name == unchanged.name {
		h.Target["r:"+field], h.Confirmed = rev, true
	}
	switch {
	case c.mode == ledger.Resend && d.name == settled.name && gone.holds(c.state) && late.holds(c.state):
		// The value that replaced this one is sent again by the next resend.
	case resends(c.mode): // no task ends
		h.Late = ""
	case d.ends:
		h = c.closed(d, h)
	}
	return []string{"done", answer}, h
}

// answer is the decision as the script writes it.
func (c cell) answer(d decision, h held) string {
	step := "0"
	if c.step == "this" {
		step = "3"
	}
	word, _, _ := strings.Cut(d.name, ",")
	isLate := d.name == landing.name
	switch {
	case d.name == lockedOut.name:
		return word + "|" + h.Target["l:"+field]
	case d.name == toPerson.name, c.mode == ledger.Once && d.name == sendAgain.name:
		return word + "|MS|" + h.Target["i:"+field]
	case c.mode == ledger.Once && d.name == send.name, c.mode == ledger.Edit && d.sends && !isLate:
		return word + "|" + step
	case c.mode == ledger.Edit && isLate:
		return word + "|" + step + "|late"
	case isLate:
		return word + "|1"
	case d.name == sendAgain.name:
		return word + "|0"
	}
	return word
}

// taken is what Redis holds of a target whose lease the attempt took.
func (c cell) taken(d decision, h held, rev string) held {
	if d.name == sendAgain.name && c.mode == ledger.Value && c.outcome == "known" && c.late == "no" {
		h.Target["d:"+field] = rev + " answered"
	}
	if resends(c.mode) {
		rev = h.Target["r:"+field]
	}
	if c.mode == ledger.Refresh {
		h.Target["tried"] = "S"
	}
	if c.prompt && c.mode != ledger.Once {
		h.Target["d:"+field] = rev
		if c.mode == ledger.Value && (c.outcome == "unanswered" || c.outcome == "answered") { // of another change
			h.Target["x:"+field] = "1"
		}
	}
	h.Target["own"], h.Target["until"] = "attempt", "MS"
	h.Kept[0] = true
	return h
}

// closed is what Redis holds of a task that has ended.
func (c cell) closed(d decision, h held) held {
	h.Ended = !slices.Contains(h.Open, "this") || c.mode == ledger.Edit
	other := func(id string) bool { return id == "this" }
	h.Open, h.Edits = slices.DeleteFunc(slices.Clone(h.Open), other), slices.DeleteFunc(slices.Clone(h.Edits), other)
	h.Kept[2] = h.Row == ""
	dead := map[string]string{superseded.name: "s", settled.name: "t", unchanged.name: "u"}[d.name]
	if d.name != settled.name || h.Row != "a" { // a task that is delivered again stays applied
		h.Row = dead
	}
	return h
}

func with(ids []string, id string) []string {
	if slices.Contains(ids, id) {
		return ids
	}
	return append(slices.Clone(ids), id)
}

// checkCells has the script decide all cells, each in an organisation of its own.
func checkCells(t *testing.T, s *redistest.Server, cells []cell) {
	t.Helper()
	rdb := s.Client(t)
	if s.Mini != nil {
		s.Mini.SetTime(time.UnixMilli(1_790_000_000_123))
	}
	clock := rdb.Time(t.Context()).Val()
	m := moment{ms: clock.UnixMilli(), rev: clock.Add(time.Hour).UnixMicro()}
	write(t, rdb, m, cells)

	answers := &replies{moment: m, byKey: map[string][]string{}}
	if s.Mini == nil {
		answers.slack = 10 * time.Minute // its clock goes on
	}
	rdb.AddHook(answers)
	l := ledger.New(rdb)
	var group errgroup.Group
	group.SetLimit(8)
	for i, c := range cells {
		group.Go(func() error {
			d := ledger.Delivery{
				TaskID: "this", Target: cellTarget(i), Revision: m.rev, Fields: []ledger.Field{{Name: field, Value: wanted, Mode: c.mode}},
				Row: ledger.Row{Tenant: "dt", Run: "night", Row: row}, Prompt: c.prompt,
				ResentBy: "dt", Resend: resends(c.mode), Refresh: c.mode == ledger.Refresh, Type: "any", Payload: []byte("{}"),
			}
			_, _, _ = l.Begin(t.Context(), d) // what it makes of the reply is for other tests
			return nil
		})
	}
	_ = group.Wait()

	holds := readCells(t, rdb, answers, cells)
	failed := 0
	for i, c := range cells {
		reply, want := c.after(m, c.before(m))
		got := answers.byKey[cellTarget(i).Organisation]
		problem := cmp.Diff(reply, got) + cmp.Diff(want, holds[i], cmpopts.EquateEmpty())
		if problem == "" {
			continue
		}
		n, d := decide(c.state)
		if failed++; failed <= 5 {
			t.Errorf("rule %d of %s, %s, prompt %t, row %q, noted %t, step %q: (-want +got)\n%s%s",
				n+1, c.mode, d.name, c.prompt, c.row, c.noted, c.step, c.state, problem)
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d cells are not decided as the rules say", failed, len(cells))
	}
	t.Logf("%d cells", len(cells))
}

func cellTarget(i int) ledger.Target {
	return ledger.Target{Organisation: fmt.Sprintf("cell%d", i), API: "any", Key: "key"}
}

// keysOf are the target, its edits, the open tasks, the run, the note that the task has
// ended, the targets that are sent again, and all targets.
func keysOf(i int, mode ledger.Mode) [7]string {
	from := "late"
	if mode == ledger.Refresh {
		from = "refresh"
	}
	tag := fmt.Sprintf("rollcall:{cell%d/any}:", i)
	return [7]string{tag + "target:key", tag + "edits:key", tag + "tasks", tag + "run:dt/night", tag + "ended:this", tag + from + ":dt", tag + "targets"}
}

// inParts carries out something for all cells in pipelines that end in time also with the
// race detector. It ignores redis.Nil.
func inParts(t *testing.T, rdb redis.UniversalClient, all int, do func(p redis.Pipeliner, from, to int)) error {
	t.Helper()
	for from := 0; from < all; from += 100 {
		_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			do(p, from, min(from+100, all))
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

func write(t *testing.T, rdb redis.UniversalClient, m moment, cells []cell) {
	t.Helper()
	err := inParts(t, rdb, len(cells), func(p redis.Pipeliner, from, to int) {
		for i := from; i < to; i++ {
			c := cells[i]
			keys, h := keysOf(i, c.mode), c.before(m)
			owner := h.Target["own"] == "attempt" // whose name is known once it begins
			if owner {
				h.Target["own"] = ownerOf(i)
			}
			p.HSet(t.Context(), keys[0], h.Target)
			for _, id := range h.Edits {
				p.ZAdd(t.Context(), keys[1], redis.Z{Score: c.score(id, m), Member: id})
			}
			for _, id := range h.Open {
				p.HSet(t.Context(), keys[2], id, "record of "+id)
			}
			if h.Late != "" {
				p.ZAdd(t.Context(), keys[5], redis.Z{Score: 5, Member: "key"})
			}
			if h.Row != "" {
				p.Set(t.Context(), keys[3], strings.Repeat("\x00", row)+h.Row, 0)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ownerOf is the owner that a cell's attempt is known by: replies puts it in the
// place of the random one.
func ownerOf(i int) string { return fmt.Sprintf("owner of cell%d", i) }

func readCells(t *testing.T, rdb redis.UniversalClient, answers *replies, cells []cell) []held {
	t.Helper()
	type cmds struct {
		target *redis.MapStringStringCmd
		edits  *redis.StringSliceCmd
		open   *redis.StringSliceCmd
		run    *redis.StringCmd
		ended  *redis.DurationCmd
		late   *redis.FloatCmd
		kept   [3]*redis.DurationCmd
		index  *redis.FloatCmd
	}
	all := make([]cmds, len(cells))
	err := inParts(t, rdb, len(all), func(p redis.Pipeliner, from, to int) { // redis.Nil of those without a run
		for i := from; i < to; i++ {
			keys := keysOf(i, cells[i].mode)
			all[i] = cmds{
				p.HGetAll(t.Context(), keys[0]), p.ZRange(t.Context(), keys[1], 0, -1), p.HKeys(t.Context(), keys[2]),
				p.Get(t.Context(), keys[3]), p.PTTL(t.Context(), keys[4]), p.ZScore(t.Context(), keys[5], "key"),
				[3]*redis.DurationCmd{p.PTTL(t.Context(), keys[0]), p.PTTL(t.Context(), keys[1]), p.PTTL(t.Context(), keys[3])},
				p.ZScore(t.Context(), keys[6], "key"),
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	holds := make([]held, len(cells))
	for i, c := range all {
		h := held{Target: c.target.Val(), Ended: c.ended.Val() > 0 && c.ended.Val() <= time.Minute}
		if h.Target["own"] == ownerOf(i) {
			h.Target["own"] = "attempt"
		}
		if answers.took(i) && answers.about(h.Target["until"], answers.moment.ms+leaseLeft) {
			h.Target["until"] = "MS"
		}
		if answers.about(h.Target["tried"], answers.moment.ms/1000) {
			h.Target["tried"] = "S"
		}
		h.Edits, h.Open = append(h.Edits, c.edits.Val()...), append(h.Open, c.open.Val()...)
		slices.Sort(h.Open)
		if due := int64(c.late.Val()); c.late.Err() == nil {
			h.Late = "now"
			if answers.about(strconv.FormatInt(due, 10), answers.moment.ms/1000+300) {
				h.Late = "later"
			}
		}
		if text := c.run.Val(); text != "" {
			h.Row = strings.TrimLeft(text, "\x00")
		}
		h.Confirmed = c.index.Err() == nil && answers.about(strconv.FormatInt(int64(c.index.Val()), 10), answers.moment.ms/1000)
		for k, ttl := range c.kept {
			h.Kept[k] = ttl.Val() > 0
		}
		holds[i] = h
	}
	return holds
}

// replies is a hook that keeps what the script answers, by organisation, and gives
// each attempt the owner of its cell.
type replies struct {
	moment moment
	slack  time.Duration

	mu    sync.Mutex
	byKey map[string][]string
}

func (r *replies) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *replies) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

var organisation = regexp.MustCompile(`^rollcall:\{(cell\d+)/`)

// about reports whether a number of the script is one that the clock explains.
func (r *replies) about(text string, want int64) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && max(n-want, want-n) <= r.slack.Milliseconds()
}

func (r *replies) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		args := cmd.Args()
		if name := cmd.Name(); name != "evalsha" && name != "eval" {
			return next(ctx, cmd)
		}
		key, _ := args[3].(string)
		of := organisation.FindStringSubmatch(key)
		keys, _ := args[2].(int)
		args[3+keys] = "owner of " + of[1]
		args[3+keys+1] = leaseLeft // a lease that is longer than this is cut
		err := next(ctx, cmd)
		answer, is := cmd.(*redis.Cmd)
		if err != nil || !is {
			return err
		}
		reply, err := answer.StringSlice()
		if err != nil {
			return err
		}
		reply = slices.Clone(reply)
		last := len(reply) - 1
		switch {
		case reply[0] == "busy" && r.about(reply[1], leaseLeft):
			reply[1] = "MS"
		case reply[0] == "go" && r.about(reply[last], r.moment.ms/1000):
			reply[last] = "S"
		}
		for i := range reply {
			word, rest, _ := strings.Cut(reply[i], "|")
			if now, intent, _ := strings.Cut(rest, "|"); r.about(now, r.moment.ms) {
				reply[i] = word + "|MS|" + intent
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.byKey[of[1]] = reply
		return nil
	}
}

// took reports whether the attempt of a cell took the lease.
func (r *replies) took(i int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	reply := r.byKey[cellTarget(i).Organisation]
	return len(reply) > 0 && reply[0] == "go"
}
