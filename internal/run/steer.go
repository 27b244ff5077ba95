package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// shortestDigest is how many characters of a digest name a plan.
const shortestDigest = 8

// judgeDigest returns a *DigestError if the plan is another one.
func (h *head) judgeDigest(given string) error {
	is := h.fields[fieldDigest]
	if is == "" || len(given) < shortestDigest || !strings.HasPrefix(is, given) {
		return &DigestError{ID: h.id, Given: given, Is: is}
	}
	return nil
}

// Apply applies the plan with a digest, of which the first eight characters suffice. If a
// guard objects, the run is held instead. It may be repeated.
func (s *Service) Apply(ctx context.Context, id, digest, by string) (Run, error) {
	h, err := s.load(ctx, id)
	if err != nil {
		return Run{}, err
	}
	r := h.view()
	if r.Plan == nil {
		return r, &StateError{ID: id, State: r.State, Reason: "it has no plan yet", Event: "apply"}
	}
	if err := h.judgeDigest(digest); err != nil {
		return r, err
	}
	if objections := r.Plan.Objections(); len(objections) > 0 && r.State == StatePlanned {
		return viewOf(s.step(ctx, id, eventHold, by, reasons(objections), func(h *head, _ *update) error { return h.judgeDigest(digest) }))
	}
	return s.begin(ctx, id, eventApply, digest, by)
}

func reasons(guards []Guard) string {
	all := make([]string, len(guards))
	for i, g := range guards {
		if all[i] = g.What; g.Flag != "" {
			all[i] += " (--" + g.Flag + ")"
		}
	}
	return strings.Join(all, "; ")
}

func viewOf(h *head, err error) (Run, error) {
	if err != nil {
		return Run{}, err
	}
	return h.view(), nil
}

// ApproverError reports that the author of a run may not approve it.
type ApproverError struct{ ID, Author string }

func (e *ApproverError) Error() string {
	return fmt.Sprintf("run %s must be approved by somebody else than its author, %s", e.ID, e.Author)
}

// Approve applies a run that is held.
func (s *Service) Approve(ctx context.Context, id, digest, by string) (Run, error) {
	h, err := s.load(ctx, id)
	if err != nil {
		return Run{}, err
	}
	r := h.view()
	if r.Settings.OtherApprover && (by == "" || by == r.Author) {
		return r, &ApproverError{ID: id, Author: r.Author}
	}
	if err := h.judgeDigest(digest); err != nil {
		return r, err
	}
	return s.begin(ctx, id, eventApprove, digest, by)
}

// begin takes the revisions of a run and makes it send. The order matters: a run that
// sends is in the set of applied runs, from which a lost task of it is made again.
func (s *Service) begin(ctx context.Context, id string, e event, digest, by string) (Run, error) {
	if err := s.rdb.SAdd(ctx, appliedKey, id).Err(); err != nil {
		return Run{}, fmt.Errorf("apply run %s: %w", id, ofKey(err, appliedKey, "set"))
	}
	h, err := s.change(ctx, id, func(h *head) (update, error) {
		if err := h.judgeDigest(digest); err != nil {
			return update{}, err
		}
		if h.state().Applied() || h.state() == StateDone {
			return update{}, errUnchanged // the reply of the first try was lost
		}
		u, err := h.move(e, by, "")
		if err != nil {
			return update{}, err
		}
		r := h.view()
		if h.now.After(r.Plan.Until) {
			return update{}, &StateError{ID: id, State: h.state(), Reason: "its plan was valid until " + r.Plan.Until.UTC().Format(time.RFC3339) + "; to plan it again: rollcall plan " + id, Event: string(e)}
		}
		revisions, err := s.revisions(ctx, h, e, r.Plan)
		if err != nil {
			return update{}, err
		}
		u.when[fieldDigest] = h.fields[fieldDigest]
		u.set[fieldRevisions], u.set[fieldApplied] = text(revisions), micros(h.now)
		u.set[fieldPlanner] = "" // ends a pass that plans it again
		return u, nil
	})
	if err != nil {
		return Run{}, err
	}
	s.kick(ctx, id)
	return h.view(), nil
}

// revisions takes a revision for each organisation's API of a plan, for an event.
func (s *Service) revisions(ctx context.Context, h *head, e event, plan *Plan) (map[string]int64, error) {
	var newest map[string]int64
	h.read(fieldNewest, &newest)
	all := map[string]int64{}
	for _, l := range plan.Lanes {
		api := apiName(l.Organisation, string(l.Kind))
		if all[api] != 0 {
			continue
		}
		revision, err := s.ledger.RunRevision(ctx, l.Organisation, string(l.Kind))
		if err != nil {
			return nil, err
		}
		if revision <= newest[api] {
			return nil, &StateError{ID: h.id, State: h.state(), Reason: "the clock of Redis was set back since the plan; to plan it again: rollcall plan " + h.id, Event: string(e)}
		}
		all[api] = revision
	}
	return all, nil
}

// end moves a run by an event that needs nothing else.
func (s *Service) end(ctx context.Context, id string, e event, by, reason string) (Run, error) {
	return viewOf(s.step(ctx, id, e, by, clean(reason), nil))
}

// Resume continues a paused run. What failed before does not pause it again.
func (s *Service) Resume(ctx context.Context, id, by string) (Run, error) {
	h, err := s.step(ctx, id, eventResume, by, "", func(_ *head, u *update) error {
		u.set[fieldWake] = "1"
		return nil
	})
	if err != nil {
		return Run{}, err
	}
	s.kick(ctx, id)
	return h.view(), nil
}

// Allow adds guards to those that do not hold the run, by their Guard.Flag. The digest
// stays.
func (s *Service) Allow(ctx context.Context, id string, flags ...string) (Run, error) {
	var known []string
	for _, g := range GuardFlags() {
		known = append(known, g.Flag)
	}
	for _, f := range flags {
		if !slices.Contains(known, f) {
			return Run{}, fmt.Errorf("no guard has the flag %.40q: the flags are %s", f, strings.Join(known, ", "))
		}
	}
	return viewOf(s.change(ctx, id, func(h *head) (update, error) {
		r := h.view()
		all := r.Settings.Allowed
		for _, f := range flags {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
		if len(all) == len(r.Settings.Allowed) {
			return update{}, errUnchanged
		}
		if _, err := h.after(eventPlan); err != nil {
			return update{}, &StateError{ID: id, State: h.state(), Reason: h.fields[fieldReason], Event: "allow more for"}
		}
		r.Settings.Allowed = all
		u := update{when: map[string]string{fieldSettings: h.fields[fieldSettings]}, set: map[string]string{fieldSettings: text(r.Settings)}}
		if r.Plan != nil {
			r.Plan.Guards = allowed(r.Plan.Guards, r.Settings.Allowed)
			u.when[fieldPlan], u.set[fieldPlan] = h.fields[fieldPlan], text(r.Plan)
		}
		if h.state() == StateHeld && r.Plan != nil && len(r.Plan.Objections()) == 0 {
			u.set[fieldState], u.set[fieldReason] = string(StatePlanned), ""
		}
		return u, nil
	}))
}

// Exclude leaves rows out of the plan with a digest, by their numbers, and returns the run
// with the plan of a new digest. Rows that were left out before stay out. It may be repeated
// with the same digest, also after the run was applied: it goes on where it stopped.
func (s *Service) Exclude(ctx context.Context, id, digest string, numbers []int) (Run, error) {
	token, done := uuid.NewString(), false
	before, err := s.excluded(ctx, id)
	if err != nil {
		return Run{}, err
	}
	all := maps.Clone(before)
	for _, n := range numbers {
		all[n] = true
	}
	h, err := s.change(ctx, id, func(h *head) (update, error) {
		err, of := h.judgeDigest(digest), h.fields[fieldDigest]
		if again := err != nil && h.leftOutOf(digest) && len(all) == len(numbers); again {
			if done = h.fields[fieldDigest] != "" && len(before) == len(all); done {
				return update{}, errUnchanged
			}
			err, of = nil, h.fields[fieldLeftOutOf]
		}
		if err != nil {
			return update{}, err
		}
		if _, err := h.after(eventPlan); err != nil {
			return update{}, &StateError{ID: id, State: h.state(), Reason: h.fields[fieldReason], Event: "leave rows out of"}
		}
		if err := h.judgeRows(numbers); err != nil {
			return update{}, err
		}
		return update{
			set:    map[string]string{fieldPlanner: token, fieldDigest: "", fieldLeftOutOf: of},
			blocks: map[string][]byte{excludedKey(id): []byte(text(slices.Sorted(maps.Keys(all))))},
		}, nil
	})
	if err != nil {
		return Run{}, err
	}
	if done {
		return h.view(), nil
	}
	t, err := s.amend(ctx, h, token, func(number int, rec *planRecord) bool {
		if all[number] {
			rec.exclude()
		}
		return all[number]
	})
	if err != nil {
		return Run{}, raced(id, err)
	}
	return s.conclude(ctx, id, token, t, nil)
}

// judgeRows returns an error if the run does not have all rows.
func (h *head) judgeRows(numbers []int) error {
	for _, n := range numbers {
		if n < 1 || n > h.rows() {
			return fmt.Errorf("run %s has no row %d: it has rows 1 to %d", h.id, n, h.rows())
		}
	}
	return nil
}

// leftOutOf reports whether the plan is, or is about to be, the one with a digest without some
// of its rows.
func (h *head) leftOutOf(digest string) bool {
	return len(digest) >= shortestDigest && strings.HasPrefix(h.fields[fieldLeftOutOf], digest)
}

var errNoPlan = errors.New("the run has no plan")
