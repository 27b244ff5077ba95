package pace

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// messagesField counts the messages of robots of a month. DingTalk bills them apart from
// calls.
func messagesField(month string) string { return month + ":messages" }

// MessagesSpentError reports that an organisation has sent all messages of its month.
type MessagesSpentError struct {
	Organisation, Month string
	Quota               int
}

// Error says when messages are sent again.
func (e *MessagesSpentError) Error() string {
	return fmt.Sprintf("organisation %s has sent its %d messages of %s: raise quota.messages if it has more, or wait for the next month", e.Organisation, e.Quota, e.Month)
}

// BookMessage counts a message of an organisation's robots before it is sent, and returns
// its month. The error is a [*MessagesSpentError] if there are as many as quota; 0 bounds
// nothing. Cost: three round trips.
func BookMessage(ctx context.Context, rdb redis.UniversalClient, organisation string, quota int) (month string, err error) {
	months, err := ReadMonths(ctx, rdb, organisation)
	if err != nil {
		return "", err
	}
	month = months[0].Name
	n, err := rdb.HIncrBy(ctx, MonthKey(organisation), messagesField(month), 1).Result()
	if err != nil {
		return "", fmt.Errorf("pace: count a message of %s: %w", organisation, err)
	}
	if quota > 0 && n > int64(quota) {
		if err := ReturnMessage(ctx, rdb, organisation, month); err != nil {
			return "", err
		}
		return "", &MessagesSpentError{organisation, month, quota}
	}
	return month, nil
}

// ReturnMessage takes back the count of a message that was provably not sent.
func ReturnMessage(ctx context.Context, rdb redis.UniversalClient, organisation, month string) error {
	if err := rdb.HIncrBy(ctx, MonthKey(organisation), messagesField(month), -1).Err(); err != nil {
		return fmt.Errorf("pace: return a message of %s: %w", organisation, err)
	}
	return nil
}
