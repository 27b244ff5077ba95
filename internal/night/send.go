package night

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/internal/run"
)

// resume goes on with a night whose attempt was interrupted. Its report is zero if it must
// begin again.
func (s *Service) resume(ctx context.Context, n Night, open *openNight) (Report, error) {
	made, err := s.runs.Get(ctx, open.Run)
	if _, missing := errors.AsType[*run.NotFoundError](err); missing {
		return Report{}, s.dropOpen(ctx, n.Name, open)
	}
	if err != nil {
		return Report{}, err
	}
	if made.State == run.StateUploading && (!made.Sealed || made.Plan == nil) {
		if _, err := s.runs.Cancel(ctx, made.ID, author(n.Name), "its night was interrupted before it was planned"); err != nil {
			return Report{}, err
		}
		return Report{}, s.dropOpen(ctx, n.Name, open)
	}
	return s.conclude(ctx, n.Name, made, open, nil)
}

// makeRun makes the run of a night, and plans it.
func (s *Service) makeRun(ctx context.Context, a *attempt, next *openNight) (run.Run, error) {
	made, err := s.runs.Create(ctx, run.Draft{
		Name: a.Name, Author: author(a.Name), Guards: a.guards, Judged: []string{run.GuardChanges, run.GuardEqualNames, run.GuardQuota},
		Settings: run.Settings{Allowed: a.allowed(), Canary: a.Canary, ValidSeconds: int(a.Approvable.Seconds())},
	})
	if err != nil {
		return made, err
	}
	next.Run, next.Report.Run = made.ID, made.ID
	if err := s.saveOpen(ctx, a.Name, next); err != nil {
		return made, err
	}
	in, err := s.upload(ctx, made.ID, a, next)
	if err != nil {
		return made, err
	}
	if _, err := s.runs.Seal(ctx, made.ID, in); err != nil {
		return made, err
	}
	if err := s.saveOpen(ctx, a.Name, next); err != nil { // with the rows that edit members
		return made, err
	}
	return s.runs.Plan(ctx, made.ID, nil)
}

const authorPrefix = "schedule "

// author is who makes and steers the runs of a schedule.
func author(schedule string) string { return authorPrefix + schedule }

// IsNight reports whether a run is of a schedule.
func IsNight(r run.Run) bool { return strings.HasPrefix(r.Author, authorPrefix) }

// allowed are the flags that never hold the run. Removals are judged by the limits of the
// schedule, which declares the chats.
func (a *attempt) allowed() []string {
	flags := a.Allowed
	if len(a.gone.remove) > 0 {
		flags = append(slices.Clip(flags), run.FlagOf(run.GuardRemovals))
	}
	return flags
}

// conclude applies a planned run, and notes what follows from that. The attempt is nil if its
// worker died before that: this costs what commit notes, and the next night finds it again.
func (s *Service) conclude(ctx context.Context, name string, made run.Run, open *openNight, a *attempt) (Report, error) {
	var err error
	if made.State == run.StatePlanned {
		if made, err = s.runs.Apply(ctx, made.ID, made.Plan.Digest, author(name)); err != nil {
			return open.Report, err
		}
	}
	open.Report.take(made, s.now())
	if err := s.saveOpen(ctx, name, open); err != nil {
		return open.Report, err
	}
	switch {
	case made.State == run.StateHeld:
		return s.publish(ctx, open.Report)
	case made.Applied.IsZero():
		return open.Report, nil
	}
	history, err := s.History(ctx, name)
	if err == nil {
		err = s.saveReport(ctx, open.Report, history)
	}
	if err != nil || a == nil {
		return open.Report, err
	}
	return open.Report, s.commit(ctx, a, open.Base)
}

// stopSending ends the run of an older night that still sends: what it has not sent is part
// of the newer one.
func (s *Service) stopSending(ctx context.Context, open *openNight, tick time.Time) error {
	made, err := s.runs.Get(ctx, open.Run)
	if _, missing := errors.AsType[*run.NotFoundError](err); missing {
		return nil
	}
	if err != nil || !made.State.Applied() && made.State != run.StateUploading {
		return err
	}
	_, err = s.runs.Cancel(ctx, open.Run, author(open.Report.Schedule), replacedBy(tick))
	if _, ended := errors.AsType[*run.StateError](err); ended {
		err = nil
	}
	return err
}

func replacedBy(tick time.Time) string {
	return "replaced by the night of " + tick.UTC().Format(time.RFC3339)
}

// keepHeld keeps the held run of an older night if the newer one would be the same: who
// wants to approve it has its digest. Otherwise it is rejected. The report is nil if a new
// run must be made.
func (s *Service) keepHeld(ctx context.Context, name string, open, next *openNight) (*Report, error) {
	made, err := s.runs.Get(ctx, open.Run)
	if _, missing := errors.AsType[*run.NotFoundError](err); missing {
		return nil, nil //nolint:nilnil // as documented
	}
	if err != nil {
		return nil, err
	}
	if made.State == run.StateHeld && open.Fingerprint == next.Fingerprint && made.Plan != nil && s.now().Before(made.Plan.Until) {
		open.Report.Tick = next.Report.Tick
		if err := s.saveOpen(ctx, name, open); err != nil {
			return nil, err
		}
		r, err := s.publish(ctx, open.Report)
		return &r, err
	}
	if made.State == run.StateHeld || made.State == run.StatePlanned {
		_, err = s.runs.Reject(ctx, made.ID, author(name), replacedBy(next.Report.Tick))
		if _, changed := errors.AsType[*run.StateError](err); changed {
			return nil, fmt.Errorf("run %s was changed by somebody else; the night is tried again: %w", made.ID, err)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.stopSending(ctx, open, next.Report.Tick); err != nil { // it was approved a moment ago
		return nil, err
	}
	_, err = s.settle(ctx, name)
	return nil, err
}
