package night

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall/internal/run"
)

// The names of the guards of a night. None has a flag: a person approves the run, or not.
const (
	GuardIncomplete = "incomplete" // the reading is not complete
	GuardOlder      = "older"      // the content is older than that of the last night
	GuardRule       = "rule"       // the rule that makes rows was changed
	GuardShrunk     = "shrunk"     // members or rows are missing
	GuardInvalid    = "invalid"    // many rows cannot be used
	GuardRemoved    = "removed"    // many members are to be removed
)

const (
	defaultMissing, defaultMissingShare         = 10, 0.1
	defaultChatMissing, defaultChatMissingShare = 5, 0.3
	mostInvalid, mostInvalidShare               = 10, 0.2
)

func (l Limits) all(n, of int) bool {
	return exceeds(n, of, cmp.Or(l.Missing, defaultMissing), cmp.Or(l.MissingShare, defaultMissingShare))
}

func (l Limits) chat(n, of int) bool {
	return exceeds(n, of, cmp.Or(l.ChatMissing, defaultChatMissing), cmp.Or(l.ChatMissingShare, defaultChatMissingShare))
}

// exceeds reports whether n of some exceed both bounds: a share alone always passes in a
// large roster, a count alone always objects to one.
func exceeds(n, of, count int, share float64) bool {
	return n > count && float64(n) > share*float64(of)
}

// holds returns what holds the night.
func (a *attempt) holds() []run.Guard {
	var all []run.Guard
	hold := func(name, format string, args ...any) {
		all = append(all, run.Guard{Name: name, What: fmt.Sprintf(format, args...)})
	}
	read, rows := a.read, a.read.rows.rows
	if !read.Complete {
		hold(GuardIncomplete, "the reading is not complete: %s", cmp.Or(read.Why, "the source does not say why"))
	}
	if bad := a.found.counts[run.RowImpossible]; exceeds(bad, rows, mostInvalid, mostInvalidShare) {
		hold(GuardInvalid, "%d of %d rows cannot be used", bad, rows)
	}
	if n := len(a.gone.remove); a.Limits.all(n, a.gone.before) {
		hold(GuardRemoved, "%d of %d members are to be removed from their chats", n, a.gone.before)
	}
	if !a.before.At.IsZero() {
		if why := read.olderThan(a.before); why != "" {
			hold(GuardOlder, "%s", why)
		}
		if n := len(a.found.calls); read.rule != a.before.Rule && (n > 0 || rows != a.before.Rows) {
			hold(GuardRule, "the columns, filters or templates were changed: %d of %d rows change; see the plan, and approve it once", n, rows)
		}
		if why := a.shrunk(); why != "" {
			hold(GuardShrunk, "%s", why)
		}
	}
	return append(all, a.found.guards...)
}

// olderThan returns why a content seems to be older than that of the last accepted night,
// or "".
func (read *reading) olderThan(before base) string {
	if !read.Modified.IsZero() && read.Modified.Before(before.Modified) {
		return fmt.Sprintf("the content is of %s, the last night's was of %s", stamp(read.Modified), stamp(before.Modified))
	}
	if read.Version == "" || read.Version == before.Version || !read.Modified.IsZero() {
		return ""
	}
	for _, v := range before.Versions {
		if v.Version == read.Version {
			return "the content is again that of the night of " + stamp(v.At)
		}
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// shrunk returns how a roster has become too small, or "". Members are counted where rows
// name some: somebody who moved into a chat does not hide who is missing there.
func (a *attempt) shrunk() string {
	gone, before := a.gone, a.before
	if !gone.counted {
		return ""
	}
	if a.Limits.all(gone.missing, gone.before) {
		return fmt.Sprintf("%d of %d members are missing", gone.missing, gone.before)
	}
	worst, of := 0, ""
	for _, chat := range slices.Sorted(maps.Keys(gone.chats)) {
		if n := gone.chats[chat]; n > worst && a.Limits.chat(n, before.Chats[chat]) {
			worst, of = n, chat
		}
	}
	if of != "" {
		_, chat, _ := split(of + "\t")
		return fmt.Sprintf("%d of %d members of chat %s are missing", worst, before.Chats[of], chat)
	}
	if rows := a.read.rows.rows; a.Limits.all(before.Rows-rows, before.Rows) {
		return fmt.Sprintf("the roster has %d rows, the last night's had %d", rows, before.Rows)
	}
	return ""
}

// nextBase is what the next night is compared with once this one is accepted.
func (a *attempt) nextBase(tick time.Time) base {
	read, before, next := a.read, a.before, a.before
	next.At, next.Rule = tick, read.rule
	if !read.Complete { // its rows were accepted; who is missing does not count
		return next
	}
	if before.Version != "" && before.Version != read.Version {
		next.Versions = append(slices.DeleteFunc(slices.Clone(before.Versions), func(v content) bool { return v.Version == before.Version }),
			content{Version: before.Version, At: before.At})
		next.Versions = next.Versions[max(0, len(next.Versions)-nightsKept):]
	}
	next.Version, next.Modified, next.Rows = read.Version, read.Modified, read.rows.rows
	if a.gone.counted {
		next.Nights++
		next.Chats = a.found.chats
	}
	return next
}

// fingerprint is equal for nights that would make the same run.
func (a *attempt) fingerprint() string {
	sum := sha256.New()
	_, _ = fmt.Fprintf(sum, "%s\x00", a.read.rule) // a hash never fails
	if rows := a.read.rows.sum; rows != nil {
		_, _ = sum.Write(rows.Sum(nil))
	}
	for i, what := range a.found.classes {
		b := byte(what) << 1
		if a.chosen.rows[i] {
			b |= 1
		}
		_, _ = sum.Write([]byte{b})
	}
	for _, e := range a.chosen.of {
		_, _ = fmt.Fprintf(sum, "%s\x00%t\x00", e.Member, e.Add)
	}
	for _, g := range a.guards {
		_, _ = fmt.Fprintf(sum, "%s\x00%s\x00", g.Name, g.What)
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}
