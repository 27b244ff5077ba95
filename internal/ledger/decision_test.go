package ledger_test

import (
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/ledger"
)

// state is all that decides whether a field of a task still needs a call. The
// strings are those of the lists below, which are in docs/ledger.md too.
type state struct {
	mode    ledger.Mode
	lease   string
	latest  string
	applied string
	value   string
	outcome string
	late    string
	lock    string
	turn    string
}

// values are what a part of a state can be, in the order of the page.
var (
	leases   = []string{"free", "own", "running", "expired"}
	latests  = []string{"none", "later"}
	applieds = []string{"never", "earlier", "this", "later"}
	values   = []string{"other", "equal", "substitute"}
	outcomes = []string{"known", "unanswered", "answered"}
	resents  = []string{"resent, unanswered", "resent, answered"} // further outcomes of modes resend and refresh
	lates    = []string{"no", "yes"}
	locks    = []string{"none", "running", "over", "unverified"}
	turns    = []string{"first", "behind a stored edit", "behind a young edit", "behind an abandoned edit"}
)

// meanings explain each part and each of its values on the page.
var meanings = []struct{ part, value, meaning string }{
	{"lease", "free", "no attempt works on the target"},
	{"lease", "own", "this attempt holds the lease: the command was sent twice because its reply was lost"},
	{"lease", "running", "another attempt holds the lease"},
	{"lease", "expired", "another attempt held the lease, ended without releasing it, and 20 s have passed"},
	{"latest", "none", "no change with a higher revision is known"},
	{"latest", "later", "a change with a higher revision is known"},
	{"applied", "never", "no change was applied"},
	{"applied", "earlier", "a change with a lower revision was applied last"},
	{"applied", "this", "this change was applied last"},
	{"applied", "later", "a change with a higher revision was applied last"},
	{"value", "other", "the applied value is not the wanted one"},
	{"value", "equal", "the applied value is the wanted one"},
	{"value", "substitute", "the platform took another value in place of the wanted one"},
	{"outcome", "known", "every send was settled"},
	{"outcome", "unanswered", "a send was never settled and had no answer: it may still be carried out"},
	{"outcome", "answered", "a send was never settled; its answer was unclear, and it cannot be carried out any more"},
	{"outcome", "resent, unanswered", "a resend of the applied value was never settled and had no answer"},
	{"outcome", "resent, answered", "a resend of the applied value was never settled; it cannot be carried out any more"},
	{"late", "no", "no earlier send can have overwritten the applied value"},
	{"late", "yes", "an earlier send may have overwritten the applied value after it was settled"},
	{"lock", "none", "the value is not locked"},
	{"lock", "running", "the value is locked by a change of ours or by the platform"},
	{"lock", "over", "the lock has ended"},
	{"lock", "unverified", "a person must confirm or reject the value that was sent last"},
	{"turn", "first", "no earlier edit of the target is open"},
	{"turn", "behind a stored edit", "an earlier edit is stored and has not ended"},
	{"turn", "behind a young edit", "an earlier edit took its revision less than two minutes ago and may be about to be stored"},
	{"turn", "behind an abandoned edit", "an earlier edit took its revision more than two minutes ago and was never stored"},
}

// condition is a question that a rule asks of a state.
type condition struct {
	name  string
	holds func(state) bool
}

var (
	running = condition{"another attempt holds the lease", func(s state) bool { return s.lease == "running" }}
	expired = condition{"the lease of another attempt has expired", func(s state) bool { return s.lease == "expired" }}
	behind  = condition{"an earlier edit is stored or may be about to be", func(s state) bool {
		return s.turn == "behind a stored edit" || s.turn == "behind a young edit"
	}}
	later = condition{"a later change is known or applied", func(s state) bool { return s.latest == "later" || s.applied == "later" }}
	same  = condition{"this change was applied last", func(s state) bool { return s.applied == "this" }}
	equal = condition{"the wanted value, or a substitute for it, was applied", func(s state) bool {
		return s.applied != "never" && s.value != "other"
	}}
	unknown    = condition{"an outcome is unknown", func(s state) bool { return s.outcome != "known" }}
	known      = condition{"every outcome is known", func(s state) bool { return s.outcome == "known" }}
	unanswered = condition{"a send has no answer", func(s state) bool { return strings.HasSuffix(s.outcome, "unanswered") }}
	late       = condition{"an earlier send may have overwritten the value", func(s state) bool { return s.late == "yes" }}
	lasting    = condition{"no earlier send can have overwritten the value", func(s state) bool { return s.late == "no" }}
	unverified = condition{"a person must confirm or reject", func(s state) bool { return s.lock == "unverified" }}
	locked     = condition{"the value is locked", func(s state) bool { return s.lock == "running" || s.lock == "unverified" }}
	waits      = condition{"a later change than the applied one is known", func(s state) bool {
		return s.latest == "later" && s.applied != "later" || s.applied == "never" || s.applied == "earlier"
	}}
	others = condition{"the outcome of another change is unknown", func(s state) bool { return s.outcome == "unanswered" || s.outcome == "answered" }}
	gone   = condition{"the value is not the applied one any more", func(s state) bool { return s.value == "other" }}
	done   = condition{"this edit was applied", func(s state) bool {
		return s.value == "equal" || s.applied == "this" && s.outcome == "known" // an older worker keeps no list
	}}
)

// decision is what the ledger answers for a field.
type decision struct {
	name string
	does string // for the page
	// sends: the attempt takes the lease. ends: the task has ended if no field of it
	// sends. Neither: the task is tried again, or dies.
	sends, ends bool
}

var (
	wait       = decision{name: "busy", does: "try again when the lease has expired"}
	queued     = decision{name: "behind", does: "try again when the earlier edit has ended"}
	superseded = decision{name: "superseded", does: "no call; the task ends", ends: true}
	settled    = decision{name: "settled", does: "no call; the task ends", ends: true}
	unchanged  = decision{name: "unchanged", does: "no call; the revision counts as applied; the task ends", ends: true}
	send       = decision{name: "send", does: "take the lease and call", sends: true}
	sendAgain  = decision{name: "send_again", does: "take the lease and call; the platform may hold the old value or that of an earlier send", sends: true}
	landing    = decision{
		name: "send_again, late", does: "as send_again; the earlier send may still overwrite this one, so settling notes that", sends: true,
	}
	lockedOut = decision{name: "locked", does: "no call; the task is rejected until the lock ends"}
	toPerson  = decision{name: "unverified", does: "no call; the task becomes a dead letter until a person confirms or rejects"}

	decisions = []decision{wait, queued, superseded, settled, unchanged, send, sendAgain, landing, lockedOut, toPerson}
)

type rule struct {
	when []condition
	then decision
}

func when(then decision, conditions ...condition) rule { return rule{conditions, then} }

// rules decide, mode by mode: the first whose conditions all hold.
var rules = map[ledger.Mode][]rule{
	ledger.Value: {
		when(wait, running),
		when(superseded, later),
		when(settled, same, known),
		// Redis may have kept the lease of a dead attempt and lost what it sent.
		when(sendAgain, equal, known, lasting, expired),
		when(unchanged, equal, known, lasting),
		when(landing, unanswered),
		when(sendAgain, unknown),
		when(sendAgain, late),
		when(send),
	},
	ledger.Effect: {
		when(wait, running),
		when(superseded, later),
		when(settled, same, known),
		when(landing, unanswered),
		when(sendAgain, unknown),
		when(sendAgain, late),
		when(send),
	},
	ledger.Edit: {
		when(wait, running),
		when(settled, done),
		when(queued, behind),
		when(landing, unanswered),
		when(sendAgain, unknown),
		when(send),
	},
	ledger.Resend: {
		when(wait, running),
		when(superseded, waits),
		when(superseded, others),
		when(settled, gone),
		when(settled, lasting),
		when(landing, unanswered),
		when(sendAgain, unknown),
		when(send),
	},
	ledger.Refresh: {
		when(wait, running),
		when(superseded, waits),
		when(superseded, others),
		when(settled, gone),
		when(landing, unanswered),
		when(sendAgain, unknown),
		when(send),
	},
	ledger.Once: {
		when(wait, running),
		when(superseded, later),
		when(toPerson, unknown, unverified),
		when(sendAgain, unknown),
		when(settled, same),
		when(unchanged, equal),
		when(lockedOut, locked),
		when(send),
	},
}

var modes = []ledger.Mode{ledger.Value, ledger.Effect, ledger.Once, ledger.Edit, ledger.Resend, ledger.Refresh}

// resends reports whether a mode sends an applied value again.
func resends(mode ledger.Mode) bool { return mode == ledger.Resend || mode == ledger.Refresh }

// decide returns the first rule that applies, by its position in the list.
func decide(s state) (int, decision) {
rules:
	for i, r := range rules[s.mode] {
		for _, c := range r.when {
			if !c.holds(s) {
				continue rules
			}
		}
		return i, r.then
	}
	panic(fmt.Sprintf("no rule applies to %s", s))
}

// states are all of a mode. A part that a mode does not have keeps its first value.
func states(mode ledger.Mode) []state {
	one := func(all []string, has bool) []string {
		if has {
			return all
		}
		return all[:1]
	}
	edit, once := mode == ledger.Edit, mode == ledger.Once
	sent := outcomes
	if once { // a clear answer settles a value that can be set once
		sent = outcomes[:2]
	}
	if resends(mode) {
		sent = slices.Concat(outcomes, resents)
	}
	var all []state
	for _, lease := range leases {
		for _, latest := range one(latests, !edit) {
			for _, applied := range applieds {
				for _, value := range values {
					for _, outcome := range sent {
						for _, late := range one(lates, mode != ledger.Edit && mode != ledger.Once) {
							for _, lock := range one(locks, once) {
								for _, turn := range one(turns, edit) {
									s := state{mode, lease, latest, applied, value, outcome, late, lock, turn}
									if s.possible() {
										all = append(all, s)
									}
								}
							}
						}
					}
				}
			}
		}
	}
	return all
}

// possible excludes what contradicts itself. For an edit, "equal" means that its
// revision is in the list of applied edits.
func (s state) possible() bool {
	switch s.mode {
	case ledger.Effect:
		return s.value == "other"
	case ledger.Edit:
		return s.value == "other" || s.value == "equal" && (s.applied == "this" || s.applied == "later")
	case ledger.Value, ledger.Once, ledger.Resend, ledger.Refresh:
	}
	return s.applied != "never" || s.value == "other"
}

func (s state) String() string {
	parts := []string{
		s.mode.String(), "lease " + s.lease, "latest " + s.latest, "applied " + s.applied, "value " + s.value,
		"outcome " + s.outcome, "late " + s.late, "lock " + s.lock, "turn " + s.turn,
	}
	return strings.Join(parts, ", ")
}
