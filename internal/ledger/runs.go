package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// RunName names a run of a lane: tasks that were enqueued together.
type RunName struct{ Tenant, Run string }

// RunBegan is a run and when its first task was stored.
type RunBegan struct {
	RunName

	Began time.Time
}

// Runs lists the runs of an organisation's API whose results are kept, newest first, at
// most n. One round trip.
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

// RunBegan returns when a run began at an organisation's API. One round trip.
func (l *Ledger) RunBegan(ctx context.Context, organisation, api string, run RunName) (at time.Time, found bool, err error) {
	score, err := l.rdb.ZScore(ctx, tagged(organisation, api, "runs"), run.Tenant+"/"+run.Run).Result()
	if errors.Is(err, redis.Nil) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("ledger: find run %s: %w", run.Run, err)
	}
	return time.UnixMilli(int64(score)), true, nil
}

// Results are the results of the rows of a run, a byte each: one of RowStored to
// RowCancelled, or another for a row of which nothing was stored.
type Results []byte

// ReadRun reads the results of a run at an organisation's API. One round trip, whose reply has a byte a row.
func (l *Ledger) ReadRun(ctx context.Context, organisation, api string, run RunName) (Results, error) {
	target, row := Target{Organisation: organisation, API: api}, Row{Tenant: run.Tenant, Run: run.Run}
	keys := make([]string, (MaxRow+rowsTogether-1)/rowsTogether)
	for n := range keys {
		keys[n] = row.block(target, n)
	}
	blocks, err := l.rdb.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: read the results of run %s: %w", run.Run, err)
	}
	var all Results
	for n, block := range blocks {
		text, _ := block.(string)
		all = all.with(n*rowsTogether, text)
	}
	return all, nil
}

// with adds the results of a key whose first row is from. An older version keeps all
// results in the first key: if a row has two results, the one that has ended counts.
func (r Results) with(from int, block string) Results {
	if n := from + len(block); len(block) > 0 && n > len(r) {
		r = append(r, make(Results, n-len(r))...)
	}
	for i := range len(block) {
		if now := &r[from+i]; block[i] != 0 && (block[i] != RowStored || *now == 0) {
			*now = block[i]
		}
	}
	return r
}

// NumberRows hands out n consecutive rows of a run and returns the first. Rows count
// from 1. Numbers that are not used cost nothing. One round trip.
func (l *Ledger) NumberRows(ctx context.Context, run string, n int) (first int, err error) {
	key := "rollcall:rows:" + run
	var last *redis.IntCmd
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		last = p.IncrBy(ctx, key, int64(n))
		p.PExpire(ctx, key, l.runKept)
		return nil
	})
	if damaging(err) {
		err = &DamagedError{Damage{Key: key, What: "is not a number of rows"}}
	} else if err == nil && last.Val() > MaxRow+int64(n) {
		err = &DamagedError{Damage{Key: key, What: fmt.Sprintf("holds %d, more rows than a run has", last.Val())}}
	}
	if err != nil {
		return 0, fmt.Errorf("ledger: number the rows of run %s: %w", run, err)
	}
	return int(last.Val()) - n + 1, nil
}

// Counts returns the number of rows by result.
func (r Results) Counts() map[byte]int {
	counts := map[byte]int{}
	for _, result := range r {
		if result != 0 {
			counts[result]++
		}
	}
	return counts
}

// Rows returns the rows with a result, from low to high.
func (r Results) Rows(result byte) []int {
	var rows []int
	for row, b := range r {
		if b == result {
			rows = append(rows, row)
		}
	}
	return rows
}
