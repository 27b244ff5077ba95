package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// RunName names what tasks of one lane came in with.
type RunName struct{ Tenant, Run string }

// RunBegan is a run and when its first task was stored.
type RunBegan struct {
	RunName

	Began time.Time
}

// Runs lists the runs of an organisation's API that have left something in the
// last 90 days, the newest first, at most n. One round trip.
func (l *Ledger) Runs(ctx context.Context, organisation, api string, n int) ([]RunBegan, error) {
	found, err := l.rdb.ZRevRangeWithScores(ctx, tagged(organisation, api, "runs"), 0, int64(n)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: list runs: %w", err)
	}
	runs := make([]RunBegan, 0, len(found))
	for _, z := range found {
		member, _ := z.Member.(string)
		tenant, run, _ := strings.Cut(member, "/")
		runs = append(runs, RunBegan{RunName: RunName{Tenant: tenant, Run: run}, Began: time.UnixMilli(int64(z.Score))})
	}
	return runs, nil
}

// RunBegan tells when a run began at an organisation's API. One round trip.
func (l *Ledger) RunBegan(ctx context.Context, organisation, api string, run RunName) (at time.Time, found bool, err error) {
	score, err := l.rdb.ZScore(ctx, tagged(organisation, api, "runs"), run.Tenant+"/"+run.Run).Result()
	if errors.Is(err, redis.Nil) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("ledger: look for run %s: %w", run.Run, err)
	}
	return time.UnixMilli(int64(score)), true, nil
}

// Results are what became of the rows of a run, a letter for each. A row of which
// nothing was stored holds none of the letters.
type Results []byte

// ReadRun reads the results of a run at an organisation's API; none are kept of
// one that is over for 90 days. One round trip, whose answer has a byte a row.
func (l *Ledger) ReadRun(ctx context.Context, organisation, api string, run RunName) (Results, error) {
	key := Row{Tenant: run.Tenant, Run: run.Run}.key(Target{Organisation: organisation, API: api})
	results, err := l.rdb.Get(ctx, key).Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("ledger: read the results of run %s: %w", run.Run, err)
	}
	return results, nil
}

// Counts counts rows by letter.
func (r Results) Counts() map[byte]int {
	counts := map[byte]int{}
	for _, letter := range r {
		if letter != 0 {
			counts[letter]++
		}
	}
	return counts
}

// Rows are the rows with a letter, from low to high.
func (r Results) Rows(letter byte) []int {
	var rows []int
	for row, l := range r {
		if l == letter {
			rows = append(rows, row)
		}
	}
	return rows
}
