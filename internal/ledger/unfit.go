package ledger

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// damagedEntries returns the entries of a target's hash that cannot be what was written.
// now is the time of any clock that is right to the day.
func damagedEntries(key string, hash map[string]string, now time.Time) []Damage {
	var damage []Damage
	for name, value := range hash {
		kind, _, ofField := strings.Cut(name, ":")
		if ofField {
			kind += ":"
		}
		if want := unfit(kind, value, now); want != "" {
			damage = append(damage, Damage{Key: key, What: fmt.Sprintf("entry %.80q holds %.40q, not %s", name, value, want), Entry: name, Value: value})
		}
	}
	slices.SortFunc(damage, func(a, b Damage) int { return strings.Compare(a.What, b.What) })
	return damage
}

const aNumber = "a number from 0 to 2^53-1"

var (
	lockForm    = regexp.MustCompile(`^(\d{1,16}) \S+$`)
	refusedForm = regexp.MustCompile(`^\d{1,16} \d{1,9}$`)
)

// farLock is how far ahead a lock can end: a year, after a clock that was wrong by years.
const farLock = 5 * 366 * 24 * time.Hour

// unfit returns what an entry should hold, "" if it can be what was written.
func unfit(kind, value string, now time.Time) string {
	switch kind {
	case entryUnknown:
		value = strings.TrimSuffix(value, answered)
	case entryLastRevision, entryLeaseUntil, entrySettledAt, entryLatest, entryApplied, entrySource, entryProgress, entryLate, entryTried:
	case entryLock:
		parts := lockForm.FindStringSubmatch(value)
		if parts == nil {
			return "a time and a reason"
		}
		value = parts[1]
		if n, ok := number(value); ok && n > now.Add(farLock).Unix() {
			return "a time within years"
		}
	case entryRefused:
		if !refusedForm.MatchString(value) {
			return "two numbers"
		}
		return ""
	case entryIntent:
		if _, err := readIntent("0|" + value); err != nil {
			return "what was sent"
		}
		return ""
	default:
		return ""
	}
	if _, ok := number(value); !ok {
		return aNumber
	}
	return ""
}

func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && n <= MaxRevision && text[0] != '+'
}
