package run

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/maphash"
	"maps"
	"slices"

	"rollcall/internal/registry"
	"rollcall/tasks"
)

// The names of the guards.
const (
	GuardChanges    = "changes"
	GuardSuspicious = "suspicious"
	GuardEqualNames = "equal-names"
	GuardChinese    = "lost-chinese"
	GuardQuota      = "quota"
	GuardRemovals   = "removals"
	GuardIDs        = "ids"
)

// GuardFlag is the flag that allows what a guard finds, and what it accepts.
type GuardFlag struct{ Guard, Flag, Accepts string }

// GuardFlags returns the flag of each guard.
func GuardFlags() []GuardFlag {
	return []GuardFlag{
		{GuardChanges, "allow-changes", "accept that many known names change"},
		{GuardSuspicious, "allow-suspicious", "accept new values that look damaged"},
		{GuardChinese, "allow-lost-chinese", "accept names that lose their Chinese characters"},
		{GuardEqualNames, "allow-equal-names", "accept equal names in one chat"},
		{GuardQuota, "allow-over-quota", "accept more calls than the month has left"},
		{GuardRemovals, "prune", "accept that members are removed from chats"},
		{GuardIDs, "allow-id-changes", "accept ID changes, which are final for a year"},
	}
}

// FlagOf returns the flag of a guard.
func FlagOf(guard string) string {
	flags := GuardFlags()
	return flags[slices.IndexFunc(flags, func(f GuardFlag) bool { return f.Guard == guard })].Flag
}

// find adds a guard to those that object, and returns it.
func (t *totals) find(guard, what string) *Guard {
	t.found[guard] = &Guard{Name: guard, Flag: FlagOf(guard), What: what}
	return t.found[guard]
}

// The guard on changes objects if both bounds are exceeded, over all rows or in one chat:
// a share alone always passes in a large file, a count alone always objects to one.
const (
	mostChanges, mostChangedShare         = 50, 0.3
	mostChatChanges, mostChatChangedShare = 10, 0.5
)

// firstRows is how many rows a guard names.
const firstRows = 10

// ratio is how many known names there are and how many of them change.
type ratio struct{ known, changed int }

func (r ratio) exceeds(count int, share float64) bool {
	return r.changed > count && float64(r.changed) > share*float64(r.known)
}

// totals sums up the rows of a plan.
type totals struct {
	counts     map[Decision]int
	undoable   int
	suspicious int
	lanes      map[string]*Lane
	all        ratio
	chats      map[string]*ratio
	found      map[string]*Guard
	amount     map[string]int
	seed       maphash.Seed
	names      []nameOf // of all rows
	digest     hash.Hash
}

// nameOf is a row with a name in a chat, in 16 bytes: a run has a million.
type nameOf struct {
	sum  uint64 // of chat and name
	row  int32  // negative: the row makes no call
	line int32
}

func (n nameOf) number() int { return int(max(n.row, -n.row)) }

func newTotals() *totals {
	return &totals{
		counts: map[Decision]int{}, lanes: map[string]*Lane{}, chats: map[string]*ratio{}, found: map[string]*Guard{},
		amount: map[string]int{}, seed: maphash.MakeSeed(), digest: sha256.New(),
	}
}

// count counts the rows of a block, and returns its plan as it is stored. The digest is of the
// stored forms: it covers what was uploaded and what was decided.
func (t *totals) count(b *block) ([]byte, error) {
	packed, plan, err := pack(b.plans)
	for _, raw := range [][]byte{b.raw, plan} {
		sum := sha256.Sum256(raw)
		t.digest.Write(sum[:])
	}
	for i, q := range b.rows {
		t.add(planned(q, b.plans[i]), q.lane.Organisation)
	}
	return packed, err
}

func (t *totals) sum() string { return hex.EncodeToString(t.digest.Sum(nil))[:24] }

// add counts a row. organisation is that of its lane; "" for a row without one.
func (t *totals) add(p Planned, organisation string) {
	t.counts[p.Decision]++
	if p.Undoable {
		t.undoable++
	}
	if p.Suspicious != "" && p.Decision.Calls() {
		t.suspicious++
	}
	task := p.Request.Task
	if task == nil || organisation == "" {
		return
	}
	t.lane(p, organisation)
	if p.Decision != RowConflict && p.Decision != RowImpossible && p.Decision != RowExcluded {
		t.guards(p, task)
	}
}

func (t *totals) lane(p Planned, organisation string) {
	tenant, kind := p.Request.Task.Lane()
	block := (p.Number - 1) / blockRows
	name := registry.Queue(tenant, kind, false)
	l := t.lanes[name]
	if l == nil {
		l = &Lane{Organisation: organisation, Tenant: tenant, Kind: kind, First: block}
		t.lanes[name] = l
	}
	l.Rows++
	l.Last = block
	if p.Decision.Calls() {
		l.Calls++
	}
}

func (t *totals) guards(p Planned, task tasks.Task) {
	calls := p.Decision.Calls()
	t.changes(p, task)
	if calls && p.Suspicious != "" {
		guard := GuardSuspicious
		if slices.ContainsFunc(p.Values, lostChinese) {
			guard = GuardChinese
		}
		t.note(guard, p.Number, p.Line)
	}
	if calls && removes(task) {
		t.note(GuardRemovals, p.Number, p.Line)
	}
	if _, id := task.(tasks.IDChange); id && calls {
		t.note(GuardIDs, p.Number, p.Line)
	}
	if chat, name, ok := member(task); ok {
		n := nameOf{sum: hashOf(t.seed, chat, name), row: int32(p.Number), line: int32(p.Line)} //nolint:gosec // at most MaxRows
		if !calls {
			n.row = -n.row
		}
		t.names = append(t.names, n)
	}
}

// equalNames finds rows that give members of one chat the same name, if one of the two
// rows makes a call.
func (t *totals) equalNames() {
	slices.SortFunc(t.names, func(a, b nameOf) int {
		return cmp.Or(cmp.Compare(a.sum, b.sum), cmp.Compare(a.number(), b.number()))
	})
	var found [][2]nameOf
	for first := 0; first < len(t.names); {
		next := first + 1
		for ; next < len(t.names) && t.names[next].sum == t.names[first].sum; next++ {
			if t.names[next].row > 0 || t.names[first].row > 0 {
				found = append(found, [2]nameOf{t.names[first], t.names[next]})
			}
		}
		first = next
	}
	t.names = nil
	slices.SortFunc(found, func(a, b [2]nameOf) int { return cmp.Compare(a[1].number(), b[1].number()) })
	for _, equal := range found {
		for _, n := range equal {
			t.note(GuardEqualNames, n.number(), int(n.line))
		}
	}
}

// changes counts a known name, and whether it changes.
func (t *totals) changes(p Planned, task tasks.Task) {
	chat, _, inChat := member(task)
	for _, v := range p.Values {
		if !v.Known || !named(v.Field) {
			continue
		}
		counted := []*ratio{&t.all}
		if inChat {
			if t.chats[chat] == nil {
				t.chats[chat] = &ratio{}
			}
			counted = append(counted, t.chats[chat])
		}
		for _, r := range counted {
			r.known++
			if p.Decision.Calls() && v.Old != v.New {
				r.changed++
			}
		}
	}
}

// note adds a row to what a guard found, once.
func (t *totals) note(guard string, row, line int) {
	g := t.found[guard]
	if g == nil {
		g = t.find(guard, "")
	}
	if slices.Contains(g.Rows, row) {
		return
	}
	t.amount[guard]++
	if len(g.Rows) < firstRows {
		g.Rows = append(g.Rows, row)
		if line > 0 && len(g.Lines) == len(g.Rows)-1 {
			g.Lines = append(g.Lines, line)
		}
	}
}

// objections returns what the guards found, in a fixed order.
func (t *totals) objections(costs []Cost) []Guard {
	t.judgeChanges()
	t.equalNames()
	for guard, what := range map[string]string{
		GuardSuspicious: saysSuspicious,
		GuardEqualNames: saysEqualNames,
		GuardChinese:    saysChinese,
		GuardRemovals:   saysRemovals,
		GuardIDs:        saysIDs,
	} {
		if g := t.found[guard]; g != nil {
			g.What = fmt.Sprintf(what, t.amount[guard])
		}
	}
	for _, c := range costs {
		if c.Bounded && int64(c.Calls) > c.Left-int64(c.Reserve) {
			t.find(GuardQuota, fmt.Sprintf(saysQuota,
				c.Calls, c.Organisation, c.Left, c.Quota, c.Reserve))
		}
	}
	all := make([]Guard, 0, len(t.found))
	for _, name := range slices.Sorted(maps.Keys(t.found)) {
		g := *t.found[name]
		if len(g.Lines) < len(g.Rows) {
			g.Lines = nil
		}
		all = append(all, g)
	}
	return all
}

func (t *totals) judgeChanges() {
	what := ""
	if t.all.exceeds(mostChanges, mostChangedShare) {
		what = fmt.Sprintf(saysChanges, t.all.changed, t.all.known)
	}
	worst, of := ratio{}, ""
	for _, chat := range slices.Sorted(maps.Keys(t.chats)) {
		if r := *t.chats[chat]; r.exceeds(mostChatChanges, mostChatChangedShare) && r.changed > worst.changed {
			worst, of = r, chat
		}
	}
	switch {
	case of != "" && what != "":
		what += "; " + fmt.Sprintf(saysInChat, worst.changed, worst.known, of)
	case of != "":
		what = fmt.Sprintf(saysOfChat, worst.changed, worst.known, of)
	}
	if what != "" {
		t.find(GuardChanges, what)
	}
}

// sorted returns the lanes by tenant and kind.
func (t *totals) sorted() []Lane {
	var all []Lane
	for _, l := range t.lanes {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(a, b Lane) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

// allowed marks the guards that do not hold the run.
func allowed(guards []Guard, flags []string) []Guard {
	for i := range guards {
		guards[i].Allowed = slices.Contains(flags, guards[i].Flag)
	}
	return guards
}
