package pace

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// MonthDay is what an organisation had spent of its month when a day ended.
type MonthDay struct {
	Date   time.Time // its beginning in Asia/Shanghai
	Spent  int64     // metered calls of the month until its end
	Urgent int64     // calls of urgent tasks on this day, also those that were not counted in the end
}

// urgentField counts the calls of urgent tasks of a day.
func urgentField(day string) string { return day + ":urgent" }

// ReadDays returns the days of the current month for which a count is known, in order, for
// organisations in the given order. A day without a call may be missing: its count is that of
// the day before. Cost: one round trip, and one for the time. What a damaged key would hold is
// left out.
func ReadDays(ctx context.Context, rdb redis.UniversalClient, organisations ...string) ([][]MonthDay, error) {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("pace: read the time: %w", err)
	}
	year, month, today := shanghai(now.UnixMicro()).Date()
	var fields []string
	for day := 1; day <= today; day++ {
		name := time.Date(year, month, day, 0, 0, 0, 0, Shanghai).Format(time.DateOnly)
		fields = append(fields, name, urgentField(name))
	}
	read := make([]*redis.SliceCmd, len(organisations))
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, o := range organisations {
			read[i] = p.HMGet(ctx, MonthKey(o), fields...)
		}
		return nil
	}) // each command has its own error
	all := make([][]MonthDay, len(organisations))
	for i := range organisations {
		if err := read[i].Err(); err != nil && !wrongType(err) {
			return nil, fmt.Errorf("pace: read the days of %d organisations: %w", len(organisations), err)
		}
		values := read[i].Val()
		for day := 1; 2*day <= len(values); day++ {
			text, _ := values[2*day-2].(string)
			if !isCount(text) {
				continue
			}
			d := MonthDay{Date: time.Date(year, month, day, 0, 0, 0, 0, Shanghai)}
			d.Spent, _ = strconv.ParseInt(text, 10, 64)
			text, _ = values[2*day-1].(string)
			d.Urgent, _ = strconv.ParseInt(text, 10, 64)
			all[i] = append(all[i], d)
		}
	}
	return all, nil
}
