package night

import (
	"context"
	"slices"
	"strings"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// pageRows is how many rows are compared, added and renewed at once.
const pageRows = run.MaxAdd

// class is what a night does with a row of its reading.
type class byte

const (
	classRenew    class = iota // unchanged: its record is renewed, and the row is not stored
	classSend                  // it needs a call
	classShow                  // a conflict, or impossible: in the run without a call
	classAside                 // the platform refused the same value before
	classWithheld              // its member is restored first, and named the next night
)

// compared is what the comparison of a reading found.
type compared struct {
	classes []class // of each row
	calls   []candidate
	members *present       // of all rows that name one
	chats   map[string]int // members by tenant and chat
	lanes   map[string]string
	guards  []run.Guard
	counts  map[run.Decision]int
	aside   map[string]int // rows by cause
	// unnamed is how many rows do not say which member they are about. Of unsure users only
	// the chat is not known: they are not missing anywhere.
	unnamed int
	unsure  map[string]bool
	// now is Redis' time. evidence is how unchanged names are known; old are the weakest
	// that refresh can confirm.
	now      time.Time
	refresh  Refresh
	evidence Evidence
	old      []oldName
}

// senders are the tenants with nicknames in the reading.
func (c *compared) senders() []ledger.Sender {
	var all []ledger.Sender
	for lane, organisation := range c.lanes {
		if tenant, is := strings.CutSuffix(lane, "."+string(tasks.KindNickname)); is && organisation != "" {
			all = append(all, ledger.Sender{Organisation: organisation, API: string(tasks.KindNickname), Tenant: tenant})
		}
	}
	return all
}

// candidate is a row that needs a call.
type candidate struct {
	row     int // index
	lane    string
	changes bool // a known name changes
	target  ledger.Target
}

// compare compares all rows of a reading with what was applied.
func (s *Service) compare(ctx context.Context, n Night, read *reading, m *marks) (*compared, error) {
	comparison, err := s.runs.Compare(ctx, run.Settings{})
	if err != nil {
		return nil, err
	}
	c := &compared{
		classes: make([]class, 0, read.rows.rows), members: newPresent(), lanes: map[string]string{}, counts: map[run.Decision]int{},
		aside: map[string]int{}, unsure: map[string]bool{}, now: comparison.Now(), refresh: n.Refresh,
	}
	for page, err := range read.rows.pages(nil) {
		if err != nil {
			return nil, err
		}
		rows, err := comparison.Rows(ctx, page)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if err := c.add(&rows[i], m, read.Complete); err != nil {
				return nil, err
			}
		}
	}
	for number := range comparison.Contradicted() {
		if c.classes[number-1] != classShow {
			c.classes[number-1] = classShow
			c.counts[run.RowConflict]++
		}
	}
	c.calls = slices.DeleteFunc(c.calls, func(k candidate) bool { return c.classes[k.row] != classSend })
	if c.chats, err = c.members.end(); err != nil {
		return nil, err
	}
	for _, g := range comparison.Guards() {
		if g.Name == run.GuardChanges || g.Name == run.GuardEqualNames {
			g.Rows = nil // numbers of the reading
			g.Allowed = slices.Contains(n.Allowed, g.Flag)
			c.guards = append(c.guards, g)
		}
	}
	return c, nil
}

// add decides on the next row.
func (c *compared) add(r *run.Compared, m *marks, complete bool) error {
	row := len(c.classes)
	removed, err := c.note(r.Request.Task, m)
	if err != nil {
		return err
	}
	lane := ""
	if r.Request.Task != nil {
		tenant, kind := r.Request.Task.Lane()
		lane = registry.Queue(tenant, kind, false)
		c.lanes[lane] = r.Organisation
	}
	what := classShow
	switch {
	case removed && complete:
		what = classWithheld
	case r.Decision == run.RowUnchanged:
		what = classRenew
		c.known(r)
	case r.Decision.Calls():
		what = classSend
		if cause := m.refusedBefore(r); cause != "" {
			what = classAside
			c.aside[cause]++
		} else {
			c.calls = append(c.calls, candidate{row: row, lane: lane, changes: r.Decision == run.RowChange, target: r.Target})
		}
	}
	if what != classWithheld && what != classAside {
		c.counts[r.Decision]++
	}
	c.classes = append(c.classes, what)
	return nil
}

// note notes the member that a row names, and reports whether a night has removed them.
func (c *compared) note(task tasks.Task, m *marks) (removed bool, err error) {
	named, is := task.(tasks.NicknameSync)
	switch {
	case task == nil, is && (named.UserID == "" || strings.ContainsAny(named.UserID+named.ChatID, "\t\r\n")):
		c.unnamed++
		return false, nil
	case !is:
		return false, nil
	case named.ChatID == "":
		c.unsure[named.UserID] = true
		return false, nil
	}
	member, err := c.members.add(named)
	if err != nil {
		return false, err
	}
	return m.absent[string(member)].Removed, nil
}

// renew renews the records of unchanged rows, without a call: their revisions rise, and
// they are kept for another 400 days.
func (s *Service) renew(ctx context.Context, a *attempt) error {
	revisions := map[string]int64{} // by lane
	for page, err := range a.read.rows.pages(func(row int) bool { return a.found.classes[row] == classRenew }) {
		if err != nil {
			return err
		}
		raises := make([]ledger.Raise, 0, len(page))
		for _, r := range page {
			raise, err := s.raise(ctx, r.Request.Task, a.found.lanes, revisions)
			if err != nil {
				return err
			}
			raises = append(raises, raise)
		}
		if _, err := s.ledger.Raise(ctx, raises); err != nil { // a target that changed is left alone
			return err
		}
	}
	return nil
}

func (s *Service) raise(ctx context.Context, task tasks.Task, lanes map[string]string, revisions map[string]int64) (ledger.Raise, error) {
	tenant, kind := task.Lane()
	target, fields := kinds.Change(task, lanes[registry.Queue(tenant, kind, false)])
	api := target.Organisation + "/" + target.API
	if revisions[api] == 0 {
		revision, err := s.ledger.RunRevision(ctx, target.Organisation, target.API)
		if err != nil {
			return ledger.Raise{}, err
		}
		revisions[api] = revision
	}
	return ledger.Raise{Target: target, Fields: fields, Revision: revisions[api]}, nil
}
