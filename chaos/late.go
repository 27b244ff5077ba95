package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

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

const (
	// effectsKept is how many changes of a target the ledger remembers.
	effectsKept = 10
	// historyEvery is how often they are read: a target has fewer than that in between.
	historyEvery = 2 * time.Second
)

// history is what was done at a target, oldest first.
type history struct {
	entries []string // as the ledger keeps them
	gap     bool     // the ledger dropped some before they were read
}

// add adds what is new in a list of the ledger, which is newest first.
func (h *history) add(list []string) {
	added := list
	if len(h.entries) > 0 {
		if i := slices.Index(list, h.entries[len(h.entries)-1]); i >= 0 {
			added = list[:i]
		} else {
			h.gap = true
		}
	} else if len(list) >= effectsKept {
		h.gap = true
	}
	for _, entry := range slices.Backward(added) {
		h.entries = append(h.entries, entry)
	}
}

// historyWatch collects the history of targets while the chaos goes on: at the end the
// ledger has the last ten changes of each. Its methods are safe for concurrent use.
type historyWatch struct {
	rdb     redis.UniversalClient
	targets []ledger.Target

	mu  sync.Mutex
	all map[ledger.Target]history
}

func newHistoryWatch(rdb redis.UniversalClient) *historyWatch {
	return &historyWatch{rdb: rdb, all: map[ledger.Target]history{}}
}

// watch adds the targets of changes to those that are read.
func (w *historyWatch) watch(changes []*change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range changes {
		if _, there := w.all[c.target]; !there && resendable(c.target, "") {
			w.all[c.target] = history{}
			w.targets = append(w.targets, c.target)
		}
	}
}

// run reads until ctx ends. While Redis is unavailable nothing is added to a history.
func (w *historyWatch) run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = w.read(ctx) // retried below
		pause(ctx, historyEvery)
	}
}

// read adds what is new. Two reads at once could add an older list after a newer one.
func (w *historyWatch) read(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	const page = 500
	for targets := range slices.Chunk(w.targets, page) {
		lists := make([]*redis.StringSliceCmd, len(targets))
		_, err := w.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, t := range targets {
				lists[i] = p.LRange(ctx, ledgerKey(t.API)+"effects:"+t.Key, 0, -1)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read the history of targets: %w", err)
		}
		for i, t := range targets {
			h := w.all[t]
			h.add(lists[i].Val())
			w.all[t] = h
		}
	}
	return nil
}

// histories returns the histories up to now.
func (w *historyWatch) histories() map[ledger.Target]history {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.all)
}

// events returns the events of a history. One that cannot be read is an error; the others
// are returned with it.
func (h history) events() (events []ledger.Event, err error) {
	for _, entry := range h.entries {
		_, text, _ := strings.Cut(entry, " ") // the time is before it
		var e ledger.Event
		if unreadable := json.Unmarshal([]byte(text), &e); unreadable != nil {
			err = fmt.Errorf("the history has an entry that cannot be read: %s", entry)
			continue
		}
		events = append(events, e)
	}
	return events, err
}

// resent reports whether a value of the target was sent again.
func (h history) resent() bool {
	events, _ := h.events() // judged by resends
	return slices.ContainsFunc(events, func(e ledger.Event) bool { return e.Did == ledger.DidResend })
}

// resends compares how often a target was sent again with how often it was settled while
// an earlier request could still take effect.
func (o *oracle) resends(target ledger.Target) {
	h := o.history[target]
	if h.gap {
		o.gaps++
		return
	}
	again, late := 0, 0
	events, err := h.events()
	if err != nil {
		o.blame(ruleResent, "%s %s: %v", target.API, target.Key, err)
	}
	for _, e := range events {
		if e.Did == ledger.DidResend {
			again++
		}
		if e.Late {
			late++
		}
	}
	o.again, o.lateSettles = o.again+again, o.lateSettles+late
	if again > late {
		o.blame(ruleResent, "%s %s was sent again %d times, and settled %d times while an earlier request could still take effect: %s",
			target.API, target.Key, again, late, strings.Join(h.entries, "\n      "))
	}
}
