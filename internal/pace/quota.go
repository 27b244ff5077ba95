package pace

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
)

// quotaField is the quota that an organisation's workers keep, beside what they
// have spent: the months are one for all of them, and so is their bound.
const quotaField = "quota"

type saidQuota struct {
	Calls   int `json:"calls"`
	Reserve int `json:"reserve"`
	Warn    int `json:"warn"`
}

// SayQuota tells all workers of an organisation its quota. Who said it last is
// right: workers are reloaded one after another.
func SayQuota(ctx context.Context, rdb redis.UniversalClient, organisation string, q Quota) error {
	text, err := json.Marshal(saidQuota(q), json.Deterministic(true))
	if err == nil {
		err = rdb.HSet(ctx, MonthKey(organisation), quotaField, text).Err()
	}
	if err != nil {
		return fmt.Errorf("pace: say the quota of %s: %w", organisation, err)
	}
	return nil
}

// readQuota reads what was said; nil for nothing, or for what cannot be read.
func readQuota(value any) *Quota {
	text, ok := value.(string)
	var said saidQuota
	if !ok || json.Unmarshal([]byte(text), &said) != nil {
		return nil
	}
	q := Quota(said)
	return &q
}
