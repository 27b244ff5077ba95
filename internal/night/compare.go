package night

import (
	"context"
	"slices"

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
	members []string       // of all rows that name one, sorted, each once
	chats   map[string]int // members by chat
	lanes   map[string]string
	guards  []run.Guard
	counts  map[run.Decision]int
	aside   map[string]int // rows by cause
	// withheld is how many rows wait for their member.
	withheld int
	// unnamed is how many rows do not say which member they are about. Of unsure users only
	// the chat is not known: they are not missing anywhere.
	unnamed int
	unsure  map[string]bool
}

// absence reports whether absence counts: every record was read, and says whom it is about.
func (c *compared) absence(read *reading) bool { return read.Complete && c.unnamed == 0 }

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
		classes: make([]class, 0, read.rows.rows), chats: map[string]int{}, lanes: map[string]string{}, counts: map[run.Decision]int{},
		aside: map[string]int{}, unsure: map[string]bool{},
	}
	for page, err := range read.rows.pages(pageRows) {
		if err != nil {
			return nil, err
		}
		rows, err := comparison.Rows(ctx, page)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			c.add(&rows[i], m, read.Complete)
		}
	}
	for number := range comparison.Contradicted() {
		if c.classes[number-1] != classShow {
			c.classes[number-1] = classShow
			c.counts[run.RowConflict]++
		}
	}
	c.calls = slices.DeleteFunc(c.calls, func(k candidate) bool { return c.classes[k.row] != classSend })
	slices.Sort(c.members)
	c.members = slices.Compact(c.members)
	for _, member := range c.members {
		c.chats[chatOf(member)]++
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
func (c *compared) add(r *run.Compared, m *marks, complete bool) {
	row := len(c.classes)
	member := ""
	switch task, named := r.Request.Task.(tasks.NicknameSync); {
	case r.Request.Task == nil, named && task.UserID == "":
		c.unnamed++
	case named && task.ChatID == "":
		c.unsure[task.UserID] = true
	case named:
		member = memberOf(task)
		c.members = append(c.members, member)
	}
	lane := ""
	if r.Request.Task != nil {
		tenant, kind := r.Request.Task.Lane()
		lane = registry.Queue(tenant, kind, false)
		c.lanes[lane] = r.Organisation
	}
	what := classShow
	switch {
	case member != "" && complete && m.absent[member].Removed:
		what = classWithheld
		c.withheld++
	case r.Decision == run.RowUnchanged:
		what = classRenew
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
}

// renew renews the records of unchanged rows, without a call: their revisions rise, and
// they are kept for another 400 days.
func (s *Service) renew(ctx context.Context, read *reading, c *compared) error {
	revisions := map[string]int64{} // by lane
	row := 0
	for page, err := range read.rows.pages(pageRows) {
		if err != nil {
			return err
		}
		var raises []ledger.Raise
		for _, r := range page {
			row++
			if c.classes[row-1] != classRenew || r.Request.Task == nil {
				continue
			}
			raise, err := s.raise(ctx, r.Request.Task, c, revisions)
			if err != nil {
				return err
			}
			raises = append(raises, raise)
		}
		if len(raises) == 0 {
			continue
		}
		if _, err := s.ledger.Raise(ctx, raises); err != nil { // a target that changed is left alone
			return err
		}
	}
	return nil
}

func (s *Service) raise(ctx context.Context, task tasks.Task, c *compared, revisions map[string]int64) (ledger.Raise, error) {
	tenant, kind := task.Lane()
	lane := registry.Queue(tenant, kind, false)
	target, fields := kinds.Change(task, c.lanes[lane])
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
