package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"
)

// DeadLetterFilter selects dead letters of a lane: those of one cause, or all.
type DeadLetterFilter struct {
	Lane string
	// ByCause selects one Class and Code.
	ByCause     bool
	Class, Code string
	// Since and Until bound the time of the last failure, both included. Zero: unbounded.
	Since, Until time.Time
}

func (q DeadLetterFilter) index() string {
	if !q.ByCause {
		return deadKeys(q.Lane).index("")
	}
	return deadKeys(q.Lane).index(cause(q.Class, q.Code))
}

func (q DeadLetterFilter) bounds() (lower, upper string) {
	lower, upper = "-", "+"
	if !q.Since.IsZero() {
		lower = "[" + instant(q.Since)
	}
	if !q.Until.IsZero() {
		upper = "(" + instant(q.Until.Add(time.Microsecond))
	}
	return lower, upper
}

// Cursor is the end of a page. The zero value begins at the newest dead letter.
type Cursor string

// DeadPage reads at most n dead letters, newest first, from the end of the page before;
// next is empty after the last. Dead letters that are removed or added between two
// pages do not move the others. A member of the index that belongs to no dead letter is
// skipped and reported as damage, so a page may be empty. O(log n) and the page. One round trip.
func (l *Ledger) DeadPage(ctx context.Context, q DeadLetterFilter, from Cursor, n int) (dead []DeadLetter, next Cursor, err error) {
	lower, upper := q.bounds()
	if from != "" {
		upper = "(" + string(from)
	}
	answer, err := deadPage.Run(ctx, l.rdb, []string{deadKeys(q.Lane).bodies(), q.index()}, upper, lower, n).StringSlice()
	if err != nil {
		return nil, "", fmt.Errorf("ledger: read dead letters of lane %s: %w", q.Lane, err)
	}
	for i := 0; i+1 < len(answer); i += 2 {
		member, record := answer[i], answer[i+1]
		if len(member) <= instantLen || record == "" {
			l.report(Damage{Key: q.index(), Entry: member, Value: "0", What: fmt.Sprintf("member %.80q belongs to no dead letter", member)})
			continue
		}
		if !jsontext.Value(record).IsValid(jsontext.AllowInvalidUTF8(true)) {
			l.report(damagedBody(q.Lane, member[instantLen:], record))
		}
		dead = append(dead, readDeadLetter(q.Lane, member[instantLen:], record))
	}
	if len(answer) == 2*n {
		next = Cursor(answer[len(answer)-2])
	}
	return dead, next, nil
}

// DeadCount counts dead letters. O(log n). One round trip.
func (l *Ledger) DeadCount(ctx context.Context, q DeadLetterFilter) (int64, error) {
	lower, upper := q.bounds()
	n, err := l.rdb.ZLexCount(ctx, q.index(), lower, upper).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: count dead letters of lane %s: %w", q.Lane, err)
	}
	return n, nil
}

// Attempts returns how often a task has failed, by class, and when it first did; the
// zero time if that is not known. One round trip.
func (l *Ledger) Attempts(ctx context.Context, taskID string) (counts map[string]int, first time.Time, err error) {
	fields, err := l.rdb.HGetAll(ctx, AttemptsKey(taskID)).Result()
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		l.damage(AttemptsKey(taskID), "is not a hash: the attempts of the task are not known")
		return map[string]int{}, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("ledger: read attempts: %w", err)
	}
	counts, first = readAttempts(fields)
	return counts, first, nil
}
