package pace

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// DamagedError reports keys that are no hashes, or those of months whose count is no
// number. All other lanes and organisations were read: the answers that come with this
// error can be used.
type DamagedError struct{ Keys []string }

// Error names the keys.
func (e *DamagedError) Error() string {
	return "damaged keys in Redis: " + strings.Join(e.Keys, ", ") + "; see rollcall repair"
}

// notCounted is the beginning of the error of a script that found no count of the month.
const notCounted = "DAMAGED"

// DamagedMonths returns what is wrong with the entries of an organisation's months that are
// no counts, by their name.
func DamagedMonths(hash map[string]string) map[string]string {
	damaged := map[string]string{}
	for name, text := range hash {
		switch {
		case monthName.MatchString(name) && !isCount(text):
			damaged[name] = fmt.Sprintf("the count of month %s is %.40q, not a number of calls", name, text)
		case dayName.MatchString(name) && !isCount(text):
			damaged[name] = fmt.Sprintf("the count of day %s, for people alone, is %.40q, not a number of calls", name, text)
		case name == quotaField && !quotaForm.MatchString(text):
			damaged[name] = fmt.Sprintf("the quota is %.40q, not numbers of calls", text)
		}
	}
	return damaged
}

var (
	monthName = regexp.MustCompile(`^\d{4}-\d{2}(:messages)?$`)
	dayName   = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(:urgent)?$`)
	quotaForm = regexp.MustCompile(`^\d+ \d+( \d+)?$`) // bookings need the first two
)

// DamagedNumbers returns what is wrong with the entries of a lane's hash that are no
// numbers, by their name. The next booking drops them.
func DamagedNumbers(hash map[string]string) map[string]string {
	damaged := map[string]string{}
	for name, text := range hash {
		switch name {
		case "day", "free", "gave", limitsField:
			continue
		}
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			damaged[name] = fmt.Sprintf("entry %s is %.40q, not a number", name, text)
		}
	}
	return damaged
}

func wrongType(err error) bool { return err != nil && strings.Contains(err.Error(), "WRONGTYPE") }

// diagnose replaces an error about a wrong type, or about a month's count, by one that
// names the keys: those of a lane and of its month. One round trip if there is an error
// about a type, else none.
func diagnose(ctx context.Context, rdb redis.UniversalClient, err error, keys ...string) error {
	if redis.HasErrorPrefix(err, notCounted) && len(keys) > 1 {
		return &DamagedError{Keys: keys[1:]}
	}
	if !wrongType(err) {
		return err
	}
	types := make([]*redis.StatusCmd, len(keys))
	_, failed := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			types[i] = p.Type(ctx, key)
		}
		return nil
	})
	var damaged DamagedError
	for i, key := range keys {
		if got := types[i].Val(); failed == nil && got != "hash" && got != "none" {
			damaged.Keys = append(damaged.Keys, key)
		}
	}
	if len(damaged.Keys) == 0 {
		return err
	}
	return &damaged
}

// judge adds the key of an answer to the damaged ones, and returns an error unless it is
// about this key alone.
func (e *DamagedError) judge(key string, err error) error {
	if wrongType(err) {
		e.Keys = append(e.Keys, key)
		return nil
	}
	return err
}

func (e *DamagedError) err(doing string) error {
	if len(e.Keys) == 0 {
		return nil
	}
	return fmt.Errorf("pace: %s: %w", doing, e)
}
