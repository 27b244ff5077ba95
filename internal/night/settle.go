package night

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// watchEvery is how often the runs of nights are looked at.
const watchEvery = 5 * time.Second

// Settle looks at the run of each night that has not ended, and reports what has become of
// it. Any worker may call it. Cost: one round trip, and one for each schedule that had a
// night.
func (s *Service) Settle(ctx context.Context) error {
	schedules, err := s.rdb.SMembers(ctx, openKey).Result()
	if err != nil {
		return fmt.Errorf("list the nights that have not ended: %w", err)
	}
	var faults []error
	for _, schedule := range schedules {
		_, err := s.settle(ctx, schedule)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// settle returns the night of a schedule that has not ended, nil if there is none.
func (s *Service) settle(ctx context.Context, schedule string) (*openNight, error) {
	open, err := s.open(ctx, schedule)
	if open == nil || err != nil {
		return nil, err
	}
	made, err := s.runs.Get(ctx, open.Run)
	if _, missing := errors.AsType[*run.NotFoundError](err); missing {
		return nil, s.dropOpen(ctx, schedule, open)
	}
	if err != nil {
		return nil, err
	}
	before := open.Report.State
	if before == "" && !made.State.Ended() {
		return open, nil // its attempt goes on
	}
	if !made.Applied.IsZero() && !open.Committed {
		if err := s.accept(ctx, schedule, open.Base); err != nil {
			return nil, err
		}
		open.Committed = true
		if err := s.saveOpen(ctx, schedule, open); err != nil {
			return nil, err
		}
	}
	if made.State.Ended() {
		return nil, s.finish(ctx, schedule, open, made)
	}
	open.Report.take(made, s.now())
	if open.Report.State == before {
		return open, nil
	}
	if err := s.saveOpen(ctx, schedule, open); err != nil {
		return nil, err
	}
	_, err = s.publish(ctx, open.Report)
	return open, err
}

// finish reports a night whose run has ended.
func (s *Service) finish(ctx context.Context, schedule string, open *openNight, made run.Run) error {
	r := open.Report
	r.take(made, s.now())
	if !made.Applied.IsZero() {
		failed, err := s.results(ctx, schedule, open, made)
		if err != nil {
			return err
		}
		r.Failed = failed
	}
	// It is reported before it is forgotten: a worker that dies in between reports it again.
	if _, err := s.publish(ctx, r); err != nil {
		return err
	}
	return s.dropOpen(ctx, schedule, open)
}

// results notes what the platform refused, and who was removed and restored. It returns
// the failed rows by cause.
func (s *Service) results(ctx context.Context, schedule string, open *openNight, made run.Run) (map[string]int, error) {
	organisations := map[string]string{}
	for _, l := range made.Plan.Lanes {
		organisations[registry.Queue(l.Tenant, l.Kind, false)] = l.Organisation
	}
	failed := map[string]int{}
	wrong, members := changes{set: map[string]any{}}, changes{set: map[string]any{}}
	now := s.now().UTC()
	for r, err := range s.runs.Results(ctx, made.ID) {
		if err != nil {
			return nil, err
		}
		done := r.Outcome == run.OutcomeApplied
		if r.Outcome == run.OutcomeFailed {
			failed[cause(r)]++
		}
		if r.Request.Task == nil {
			continue
		}
		tenant, kind := r.Request.Task.Lane()
		organisation := organisations[registry.Queue(tenant, kind, false)]
		if e, is := open.Edits[r.Number]; is && done {
			if e.Add {
				members.remove = append(members.remove, e.Member)
			} else {
				members.set[e.Member] = absent{Night: open.Base.Nights, Since: open.Base.At, Removed: true}
			}
			if err := s.forgetName(ctx, e.Member, organisation); err != nil {
				return nil, err
			}
			continue
		}
		target, fields := kinds.Change(r.Request.Task, organisation)
		switch {
		case done:
			wrong.remove = append(wrong.remove, nameOf(target))
		case r.Outcome == run.OutcomeFailed && permanent(r):
			wrong.set[nameOf(target)] = refused{Value: valueOf(fields), Cause: cause(r), At: now}
		}
	}
	if err := s.mark(ctx, schedule, keyRefused, wrong); err != nil {
		return nil, err
	}
	return failed, s.mark(ctx, schedule, keyAbsent, members)
}

// forgetName removes what is recorded of the name of a member who left a chat, or came
// back: the platform keeps no name of somebody who is not in the chat.
func (s *Service) forgetName(ctx context.Context, member, organisation string) error {
	tenant, chat, user := split(member)
	target, _ := kinds.Change(tasks.NicknameSync{Tenant: tenant, ChatID: chat, UserID: user}, organisation)
	_, err := s.ledger.Forget(ctx, target)
	if errors.Is(err, ledger.ErrWaits) || errors.Is(err, ledger.ErrUnknownOutcome) || errors.Is(err, ledger.ErrUnderway) {
		return nil // the change that is under way settles it
	}
	return err
}

// cause is why a row failed, without the platform's words.
func cause(r run.Result) string {
	if r.Code == "" {
		return r.Class
	}
	return r.Class + " " + r.Code
}
