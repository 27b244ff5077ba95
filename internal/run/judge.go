package run

import (
	"context"
	"fmt"
	"strconv"

	"rollcall/internal/ledger"
)

// leastJudged is how many rows must have ended before their share of failures pauses a
// run.
const leastJudged = 10

// score is what has become of the rows that were sent.
type score struct {
	ended, failed int // ended with a call, or failed
	open          int // in a queue
	canary        int // rows of the canary that have not ended
}

// score counts what has ended.
func (t *turn) score(ctx context.Context) (score, error) {
	var s score
	for _, l := range t.run.Plan.Lanes {
		if err := t.resultsRead(ctx, l); err != nil {
			return score{}, err
		}
	}
	var err error
	if t.results, err = t.readResults(ctx, t.run); err != nil {
		return score{}, err
	}
	for _, results := range t.results {
		counts := results.Counts()
		s.failed += counts[ledger.RowDead]
		s.ended += counts[ledger.RowDead] + counts[ledger.RowApplied] + counts[ledger.RowSettled]
		s.open += counts[ledger.RowStored]
	}
	for _, number := range t.ready.Canary {
		if !t.ended(number) {
			s.canary++
		}
	}
	return s, nil
}

// judge pauses the run if too much failed. It returns errChanged after a pause.
func (t *turn) judge(ctx context.Context, s score) error {
	ended, failed := s.ended-t.judged.Ended, s.failed-t.judged.Failed
	enough := ended >= leastJudged || t.head.state() == StateCanary && s.canary == 0 && s.ended < t.run.Plan.Calls()
	if most := t.run.Settings.maxFailed(); enough && failed > 0 && float64(failed) > most*float64(ended) {
		return t.pause(ctx, s, fmt.Sprintf(saysFailing, failed, ended, 100*most))
	}
	return nil
}

// ended reports whether a row has a final result at any lane.
func (t *turn) ended(number int) bool {
	for _, results := range t.results {
		if number < len(results) && results[number] != 0 && results[number] != ledger.RowStored {
			return true
		}
	}
	return false
}

// pause pauses the run, with the most frequent cause of its failures.
func (t *turn) pause(ctx context.Context, s score, reason string) error {
	if cause, err := t.cause(ctx); err != nil {
		return err
	} else if cause != "" {
		reason += "; " + fmt.Sprintf(saysMost, cause)
	}
	u, err := t.head.move(eventPause, "", reason)
	if err != nil {
		return err
	}
	u.set[fieldJudged] = text(judgement{Ended: s.ended, Failed: s.failed})
	if err := t.save(ctx, u); err != nil {
		return err
	}
	t.log.Warn("run paused", "run", t.head.id, "reason", reason)
	return errChanged
}

// causes is how many failed rows are looked at for the most frequent cause.
const causes = 200

func (t *turn) cause(ctx context.Context) (string, error) {
	counts, most := map[string]int{}, ""
	for _, l := range t.run.Plan.Lanes {
		var rows []int
		for number, b := range t.results[laneName(l)] {
			if b == ledger.RowDead && len(rows) < causes {
				rows = append(rows, number)
			}
		}
		if len(rows) == 0 {
			continue
		}
		details, err := t.ledger.RunDetails(ctx, l.Organisation, string(l.Kind), ledger.RunName{Tenant: l.Tenant, Run: t.head.id}, rows)
		if err != nil {
			return "", err
		}
		for _, d := range details {
			name := d.Class
			if d.Code != "" {
				name += " " + d.Code
			}
			if counts[name]++; counts[name] > counts[most] || counts[name] == counts[most] && name < most {
				most = name
			}
		}
	}
	return most, nil
}

// finish ends the run if every row has an outcome. A row that was fed and has no result was
// lost with Redis, or its note was: it is fed again, which is harmless.
func (t *turn) finish(ctx context.Context) (bool, error) {
	outcomes, lost := map[Outcome]int{}, map[string][]int{}
	for q, err := range t.walk(ctx, t.head, 0, nil) {
		if err != nil {
			return false, err
		}
		o := t.became(q)
		switch o {
		case OutcomeWaiting:
			lost[q.laneName()] = append(lost[q.laneName()], q.number)
		case OutcomeOpen:
			return false, nil
		}
		outcomes[o]++
	}
	if len(lost) > 0 {
		return false, t.rewind(ctx, lost)
	}
	u, err := t.head.move(eventFinish, "", "")
	if err != nil {
		return false, err
	}
	u.set[fieldOutcomes] = text(outcomes)
	if err := t.save(ctx, u); err != nil {
		return false, err
	}
	t.log.Info("run done", "run", t.head.id, "rows", t.head.rows(), "failed", outcomes[OutcomeFailed])
	return true, nil
}

// resultsRead returns an error if keys with results are damaged: to read them shows rows
// without a result, not an error.
func (t *turn) resultsRead(ctx context.Context, l Lane) error {
	keys := ledger.RunKeys(l.Organisation, string(l.Kind), ledger.RunName{Tenant: l.Tenant, Run: t.head.id}, t.head.rows())
	found, err := t.ledger.WrongTypes(ctx, keys)
	if err == nil && len(found) > 0 {
		err = &ledger.DamagedError{Damage: found[0]}
	}
	return err
}

// rewind feeds lanes again from their first lost row on.
func (t *turn) rewind(ctx context.Context, lost map[string][]int) error {
	u := update{set: map[string]string{}}
	for lane, rows := range lost {
		u.set[fieldFed+lane] = strconv.Itoa(rows[0] - 1)
		u.set[fieldFedRows+lane] = strconv.Itoa(max(0, t.head.number(fieldFedRows+lane)-len(rows)))
		t.log.Warn("rows of a run have no result: fed again", "run", t.head.id, "lane", lane, "rows", len(rows), "first", rows[0])
	}
	return t.save(ctx, u)
}
