package forget

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall/cmd/rollcall/internal/find"
	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/night"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// records are all places that hold something about a subject.
type records struct {
	subject subject
	apis    []registry.Lane // a lane for each organisation's API
	tenants map[string]bool // of the organisation that was selected; nil: all
	book    *ledger.Ledger
	dead    *deadletter.Service
	runs    *run.Service
	nights  *night.Service
}

// count counts what is recorded, and finds what has not ended.
func (r *records) count(ctx context.Context) (report, error) {
	var all report
	err := r.eachTarget(ctx, func(l registry.Lane, one ledger.Record) error {
		all.Targets++
		if why := waits(one); why != "" {
			all.Blocked = append(all.Blocked, name(l, one.Target)+": "+why)
		}
		return nil
	})
	if err != nil {
		return all, err
	}
	rows, err := r.runs.Mention(ctx, r.of)
	if err != nil {
		return all, err
	}
	all.addRows(rows)
	err = r.eachDead(ctx, func(dead []ledger.DeadLetter) error {
		all.Dead += len(dead)
		return nil
	})
	if err != nil {
		return all, err
	}
	lanes, err := r.deadLanes(ctx)
	if err != nil {
		return all, err
	}
	closed, err := r.book.ClosedDeadLetters(ctx, mostClosed, lanes...)
	for _, c := range closed {
		if r.subject.closed(c) {
			all.Dead++
		}
	}
	if err != nil {
		return all, err
	}
	all.Notes, err = r.nights.Mention(ctx, r.night())
	return all, err
}

// night is the subject for what schedules keep.
func (r *records) night() night.Subject {
	return night.Subject{
		ID: r.subject.chat + r.subject.user,
		Member: func(tenant, chat, user string) bool {
			return r.of(tasks.NicknameSync{Tenant: tenant, ChatID: chat, UserID: user})
		},
		Target: func(t ledger.Target) bool {
			return slices.ContainsFunc(r.apis, func(l registry.Lane) bool {
				return l.Organisation == t.Organisation && string(l.Kind) == t.API && r.subject.has(l, ledger.Record{Target: t})
			})
		},
	}
}

// remove removes what is recorded. Targets come first: they alone may refuse.
func (r *records) remove(ctx context.Context) (report, error) {
	var all report
	err := r.eachTarget(ctx, func(l registry.Lane, one ledger.Record) error {
		there, err := r.book.Forget(ctx, one.Target)
		if errors.Is(err, ledger.ErrUnderway) || errors.Is(err, ledger.ErrWaits) || errors.Is(err, ledger.ErrUnknownOutcome) {
			all.Blocked = append(all.Blocked, name(l, one.Target)+": "+err.Error())
			return nil
		}
		if there {
			all.Targets++
		}
		return err
	})
	if err != nil || len(all.Blocked) > 0 {
		return all, err
	}
	err = r.eachDead(ctx, func(dead []ledger.DeadLetter) error {
		for _, s := range r.dead.Discard(ctx, dead) {
			switch s.Outcome {
			case deadletter.Discarded, deadletter.Underway:
				all.Dead++
			case deadletter.Refused:
				all.Blocked = append(all.Blocked, "dead letter "+s.DeadLetter.ID+": "+s.Err.Error())
			default:
				return s.Err
			}
		}
		return nil
	})
	if err != nil {
		return all, err
	}
	lanes, err := r.deadLanes(ctx)
	if err != nil {
		return all, err
	}
	for _, lane := range lanes {
		n, err := r.book.ForgetClosed(ctx, lane, r.subject.closed)
		if all.Dead += n; err != nil {
			return all, err
		}
	}
	rows, err := r.runs.Forget(ctx, r.of)
	all.addRows(rows)
	if err != nil {
		return all, err
	}
	all.Notes, err = r.nights.Forget(ctx, r.night())
	return all, err
}

// mostClosed bounds how many closed dead letters are read: more than all of a lane.
const mostClosed = 1 << 20

func (r *report) addRows(rows run.Forgotten) {
	r.Rows, r.Runs = rows.Rows, rows.Runs
	for _, id := range rows.Busy {
		r.Blocked = append(r.Blocked, "run "+id+" is applied: let it end, or rollcall run cancel "+id)
	}
}

// eachTarget calls do with the targets of the subject, each once.
func (r *records) eachTarget(ctx context.Context, do func(registry.Lane, ledger.Record) error) error {
	for _, l := range r.apis {
		seen := map[string]bool{}
		once := func(one ledger.Record) error {
			if seen[one.Target.Key] || locked(one) {
				return nil
			}
			seen[one.Target.Key] = true
			return do(l, one)
		}
		if target := r.subject.target(l); target.Key != "" { // also where it is not indexed
			one, err := r.book.Survey(ctx, []ledger.Target{target})
			if err == nil && (one[0].Revision != 0 || len(one[0].Fields) > 0 || len(one[0].Damaged) > 0) {
				err = once(one[0])
			}
			if err != nil {
				return err
			}
		}
		// Targets that are removed on the way may hide others from the walk: first all are found.
		var found []ledger.Record
		err := find.Walk(ctx, r.book, l, "", func(one ledger.Found) error {
			if r.subject.has(l, one.Record) {
				found = append(found, one.Record)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, one := range found {
			if err := once(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachDead calls do with the dead letters of the subject, some at a time.
func (r *records) eachDead(ctx context.Context, do func([]ledger.DeadLetter) error) error {
	return r.dead.Each(ctx, deadletter.Filter{}, func(dead []ledger.DeadLetter) error {
		dead = slices.DeleteFunc(dead, func(d ledger.DeadLetter) bool {
			return r.tenants != nil && !r.tenants[d.Tenant] || !r.subject.dead(d)
		})
		if len(dead) == 0 {
			return nil
		}
		return do(dead)
	})
}

func (r *records) deadLanes(ctx context.Context) ([]string, error) {
	lanes, err := r.book.DeadLetterLanes(ctx)
	return slices.DeleteFunc(lanes, func(name string) bool {
		tenant, _, _, _ := registry.ParseQueue(name)
		return r.tenants != nil && !r.tenants[tenant]
	}), err
}

// locked reports whether nothing of a target is left but the lock of its ID.
func locked(r ledger.Record) bool {
	f, found := r.Fields["id"]
	return found && f.Lock != nil && f.Latest == 0 && f.Applied == 0 && f.Unknown == 0
}

// waits returns why nothing of a target may be removed now, or "".
func waits(r ledger.Record) string {
	switch {
	case len(r.Damaged) > 0:
		return "its record is damaged: rollcall repair lists it"
	case r.InFlight:
		return ledger.ErrUnderway.Error()
	case len(r.Edits) > 0:
		return ledger.ErrWaits.Error()
	}
	for _, f := range r.Fields {
		if f.Unknown != 0 {
			return ledger.ErrUnknownOutcome.Error() + ": rollcall explain shows it"
		}
		if f.Open && f.Latest > f.Applied {
			return ledger.ErrWaits.Error()
		}
	}
	return ""
}

// name names a target for a person.
func name(l registry.Lane, t ledger.Target) string {
	return fmt.Sprintf("%s %s", registry.Queue(l.Tenant, l.Kind, false), privacy.Target(l.Kind, t.Key))
}
