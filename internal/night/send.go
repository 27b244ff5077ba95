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
	return s.conclude(ctx, n, made, open, nil)
}

// makeRun makes the run of a night, and plans it.
func (s *Service) makeRun(ctx context.Context, n Night, next *openNight, read *reading, c *compared, chosen *choice, gone *absences, guards []run.Guard) (run.Run, error) {
	made, err := s.runs.Create(ctx, run.Draft{
		Name: n.Name, Author: author(n.Name), Guards: guards, Judged: []string{run.GuardChanges, run.GuardEqualNames, run.GuardQuota},
		Settings: run.Settings{Allowed: allowed(n, gone), Canary: n.Canary, ValidSeconds: int(n.Approvable.Seconds())},
	})
	if err != nil {
		return made, err
	}
	next.Run, next.Report.Run = made.ID, made.ID
	if err := s.saveOpen(ctx, n.Name, next); err != nil {
		return made, err
	}
	in, err := s.upload(ctx, made.ID, next, read, c, chosen)
	if err != nil {
		return made, err
	}
	if _, err := s.runs.Seal(ctx, made.ID, in); err != nil {
		return made, err
	}
	if err := s.saveOpen(ctx, n.Name, next); err != nil { // with the rows that edit members
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
func allowed(n Night, gone *absences) []string {
	flags := n.Allowed
	if len(gone.remove) > 0 {
		flags = append(slices.Clip(flags), run.FlagOf(run.GuardRemovals))
	}
	return flags
}

// conclude applies a planned run, and notes what follows from that. A worker that dies
// before commit costs what commit notes; the next night finds it again.
func (s *Service) conclude(ctx context.Context, n Night, made run.Run, open *openNight, commit func(context.Context) error) (Report, error) {
	var err error
	if made.State == run.StatePlanned {
		if made, err = s.runs.Apply(ctx, made.ID, made.Plan.Digest, author(n.Name)); err != nil {
			return open.Report, err
		}
	}
	open.Report.take(made, s.now())
	if err := s.saveOpen(ctx, n.Name, open); err != nil {
		return open.Report, err
	}
	switch {
	case made.State == run.StateHeld:
		return s.publish(ctx, open.Report)
	case made.Applied.IsZero():
		return open.Report, nil
	}
	history, err := s.History(ctx, n.Name)
	if err == nil {
		err = s.saveReport(ctx, open.Report, history)
	}
	if err != nil || commit == nil {
		return open.Report, err
	}
	return open.Report, commit(ctx)
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
