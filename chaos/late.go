package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// resendable reports whether a field's value is sent again if a late request may have
// overwritten it.
func resendable(target ledger.Target, field string) bool {
	kind := tasks.Kind(target.API)
	return kind == tasks.KindNickname || kind == tasks.KindGroup && field != "members"
}

// resent waits until no value is left to be sent again, for most.
func (s *scene) resent(ctx context.Context, most time.Duration) error {
	deadline, notified := time.Now().Add(most), time.Now()
	for {
		var left int64
		err := eventually(ctx, "the values that are sent again", func(ctx context.Context) error {
			left = 0
			for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
				n, err := s.rdb.ZCard(ctx, ledgerKey(string(kind))+"late:"+dingtalk).Result()
				if err != nil {
					return err
				}
				left += n
			}
			return nil
		})
		if err != nil || left == 0 || time.Now().After(deadline) {
			return err
		}
		if time.Since(notified) >= logEvery {
			notified = time.Now()
			s.logf("%d targets are still to be sent again", left)
		}
		pause(ctx, 2*time.Second)
	}
}

// mayBeOverwritten reports whether the ledger records that a late request may have
// overwritten a field.
func (ev *evidence) mayBeOverwritten(t ledger.Target, field string) bool {
	return ev.records[t]["q:"+field] != "" || ev.unknown(t, field)
}

// effectsKept is how many changes of a target the ledger remembers.
const effectsKept = 10

// resends compares how often a target was sent again with how often it was settled while
// an earlier request could still take effect.
func (o *oracle) resends(target ledger.Target) {
	history := o.history[target]
	again, late := 0, 0
	for _, e := range history {
		if e.Did == ledger.DidResend {
			again++
		}
		if e.Late {
			late++
		}
	}
	o.again, o.lateSettles = o.again+again, o.lateSettles+late
	if again > late && len(history) < effectsKept {
		o.blame(ruleResent, "%s %s was sent again %d times, and settled %d times while an earlier request could still take effect: %s",
			target.API, target.Key, again, late, fmt.Sprint(history))
	}
}
