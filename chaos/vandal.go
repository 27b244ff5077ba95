package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	victim = "reef"   // whose keys are damaged
	paced  = "meadow" // whose pace is measured

	// namedWithin is how soon after it was first read a damage must be in a log.
	namedWithin = 30 * time.Second
	// readWithin is how long is waited for that reading: sweeps read every 5 s, the
	// registry is read every 30 s. No worker may need the key at all.
	readWithin = 45 * time.Second
	// namedFor is how long a damage that was named stays, so that it also harms.
	namedFor = 5 * time.Second
	// spareFor is how long a key that was damaged is left alone.
	spareFor = 5 * time.Minute
	// idleError is the error of OBJECT IDLETIME, which counts whole seconds.
	idleError = 2 * time.Second
)

// mark is a damage, and what became of it.
type mark struct {
	spoiled

	at    time.Time // when it was written
	read  time.Time // when it was read first; zero: not yet
	named time.Time // when a log named it; zero: not yet
	over  string    // what ended it: see settle; "": it is there
}

// vandals damages the keys of the victim and looks for it in the workers' logs.
type vandals struct {
	rdb      redis.UniversalClient
	random   *rand.Rand
	logs     *logTail
	repairer repairer
	logf     func(string, ...any)

	marks []*mark
	lost  map[string]int // by what rollcall repair reported as lost
	bad   []violation
}

// run damages a key every few seconds until ctx ends.
func (v *vandals) run(ctx context.Context) error {
	next := time.Now()
	for ctx.Err() == nil {
		if time.Now().After(next) {
			if err := v.strike(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			next = time.Now().Add(between(v.random, 2*time.Second, 4*time.Second))
		}
		if err := v.look(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		pause(ctx, time.Second)
	}
	return nil
}

// rest waits for the names of damages that were read a moment ago.
func (v *vandals) rest(ctx context.Context) error {
	deadline := time.Now().Add(namedWithin + 2*idleError)
	for ctx.Err() == nil && time.Now().Before(deadline) && slices.ContainsFunc(v.marks, func(k *mark) bool {
		return k.over == "" && !k.read.IsZero() && k.named.IsZero() && k.excuse() == ""
	}) {
		if err := v.look(ctx); err != nil {
			return err
		}
		pause(ctx, time.Second)
	}
	return nil
}

// strike damages one key: of a random class, so that classes of few keys have their turn.
func (v *vandals) strike(ctx context.Context) error {
	keys, err := victimKeys(ctx, v.rdb, victim)
	if err != nil {
		return err
	}
	for range 50 {
		class := sortedKeys(keys)[v.random.IntN(len(keys))]
		key := keys[class][v.random.IntN(len(keys[class]))]
		m := []manner{otherType, truncated, farAhead}[v.random.IntN(3)]
		if slices.ContainsFunc(v.marks, func(k *mark) bool {
			same := k.key == key || k.class == lanesField && k.entry == key
			return same && (k.over == "" || time.Since(k.at) < spareFor)
		}) {
			continue
		}
		d, err := spoil(ctx, v.rdb, v.random, class, key, m)
		if errors.Is(err, errUnfit) || errors.Is(err, redis.Nil) {
			continue
		} else if err != nil {
			return fmt.Errorf("damage %s: %w", key, err)
		}
		v.marks = append(v.marks, &mark{spoiled: d, at: time.Now()})
		v.logf("damaged: %s", d)
		return nil
	}
	return nil // everything was damaged a moment ago
}

// look records which damages were read and named, and repairs those that have been there
// long enough.
func (v *vandals) look(ctx context.Context) error {
	lines, err := v.logs.warnings()
	if err != nil {
		return err
	}
	for _, k := range v.marks {
		if k.named.IsZero() && slices.ContainsFunc(lines, k.namedBy) {
			k.named = time.Now()
		}
		if k.over != "" {
			continue
		}
		if err := v.touched(ctx, k); err != nil {
			return err
		}
		// To look at an entry is to read its key.
		if !k.read.IsZero() || k.manner == otherType {
			there, err := k.there(ctx, v.rdb)
			if err != nil {
				return err
			}
			k.settle(there, time.Now())
		}
		if k.over == "" && k.due(time.Now()) {
			if err := v.repair(ctx, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// touched notes the first reading of a key.
func (v *vandals) touched(ctx context.Context, k *mark) error {
	if !k.read.IsZero() {
		return nil
	}
	idle, err := v.rdb.ObjectIdleTime(ctx, k.key).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil || idle+idleError >= time.Since(k.at) {
		return err
	}
	// Producers read the keys of a target, too. A worker does for an open task.
	if _, target, ok := k.target(); ok {
		api, _, _ := strings.Cut(k.key, "}")
		records, err := v.rdb.HVals(ctx, api+"}:tasks").Result()
		if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return err
		}
		if !slices.ContainsFunc(records, func(record string) bool { return strings.Contains(record, `"target":"`+target+`"`) }) {
			return nil
		}
	}
	k.read = time.Now()
	return nil
}

// What ends a damage.
const (
	overWritten = "overwritten"
	overRemoved = "repaired"
	overKept    = "not found by rollcall repair"
)

// settle notes that a damage is not there any more. What a worker overwrites at once
// needs some time to be named, too.
func (k *mark) settle(there bool, now time.Time) {
	switch {
	case there:
	case k.named.IsZero() && k.manner != otherType && strings.HasSuffix(k.key, "}:tasks"):
		// Its key is read by every task, and the record went with its own before a sweep
		// read it.
		k.over, k.read = overWritten, time.Time{}
	case k.named.IsZero() && strings.HasSuffix(k.key, "}:floor"):
		// Producers skip it, and the next run that is applied writes it again.
		k.over, k.read = overWritten, time.Time{}
	case !k.named.IsZero(), k.excuse() != "", k.read.IsZero(), now.Sub(k.read) > namedWithin:
		k.over = overWritten
	}
}

// due reports whether a damage is to be repaired.
func (k *mark) due(now time.Time) bool {
	switch {
	case !k.named.IsZero():
		return now.Sub(k.named) > namedFor
	case !k.read.IsZero():
		return now.Sub(k.read) > namedWithin+idleError
	}
	return now.Sub(k.at) > readWithin
}

// unnamed is the violation of a damage that was read and not named in time; nil: none.
func (k *mark) unnamed() *violation {
	if k.read.IsZero() || k.excuse() != "" {
		return nil
	}
	// The reading is noticed up to idleError later than it was.
	if !k.named.IsZero() && k.named.Sub(k.read) <= namedWithin+idleError {
		return nil
	}
	how := "is in no log"
	if !k.named.IsZero() {
		how = fmt.Sprintf("is in a log %s later", k.named.Sub(k.read).Round(time.Second))
	}
	return &violation{ruleUnnamed, fmt.Sprintf("%s, at %s: read within %s, and %s", k.spoiled, k.at.Format(time.TimeOnly), k.read.Sub(k.at).Round(time.Second), how)}
}

// repair discards one damage with the command.
func (v *vandals) repair(ctx context.Context, k *mark) error {
	arguments := []string{"--key", k.key, "--all", "--yes", "--by", "chaos", "--reason", "damaged by the chaos"}
	if k.entry != "" && k.kind == "hash" {
		arguments = append(arguments, "--entry", k.entry)
	}
	if lane, target, ok := k.target(); ok {
		arguments = append([]string{lane, target}, arguments...)
	}
	found, err := v.repairer.run(ctx, arguments...)
	if err != nil {
		return fmt.Errorf("repair %s: %w", k.spoiled, err)
	}
	for _, one := range found {
		if one.Discarded {
			k.over = overRemoved
			v.lost[one.Lost]++
		}
	}
	if k.over != "" {
		return nil
	}
	there, err := k.there(ctx, v.rdb)
	switch {
	case err != nil:
		return err
	case !there || k.manner != otherType || k.read.IsZero():
		k.over = overKept
	case time.Since(k.at) > 2*time.Minute: // the lane may be missing for a minute, if its entry was damaged
		k.over = overKept
		v.bad = append(v.bad, violation{ruleUnrepaired, fmt.Sprintf("%s: rollcall repair %s finds nothing", k.spoiled, strings.Join(arguments, " "))})
	}
	return nil
}

// target returns the lane and the target of a key that belongs to one.
func (d spoiled) target() (lane, target string, ok bool) {
	for _, part := range []string{"}:target:", "}:effects:", "}:edits:"} {
		before, target, found := strings.Cut(d.key, part)
		if !found {
			continue
		}
		_, api, _ := strings.Cut(before, "/")
		tenant := victim + "-dt"
		if api == "course" {
			tenant = victim + "-ci"
		}
		return tenant + "." + api, target, true
	}
	return "", "", false
}

// repairAll repairs what is left, and lists what is lost.
func (v *vandals) repairAll(ctx context.Context) error {
	for _, k := range v.marks {
		if _, _, ok := k.target(); ok && k.over == "" { // of a target without an open task
			if err := v.repair(ctx, k); err != nil {
				return err
			}
		}
	}
	found, err := v.repairer.run(ctx, "--all", "--yes", "--by", "chaos", "--reason", "the end of the chaos")
	if err != nil {
		return err
	}
	for _, one := range found {
		v.logf("rollcall repair: %s: %s %s: %s; lost: %s", one.Lane, one.Key, one.Entry, one.Problem, one.Lost)
		v.lost[one.Lost]++
	}
	for _, k := range v.marks {
		if there, err := k.there(ctx, v.rdb); err != nil {
			return err
		} else if there && k.manner == otherType && k.excuse() == "" && !k.read.IsZero() {
			v.bad = append(v.bad, violation{ruleUnrepaired, fmt.Sprintf("%s: is there after rollcall repair --all", k.spoiled)})
		}
	}
	if found, err = v.repairer.run(ctx); err != nil {
		return err
	}
	for _, one := range found {
		v.bad = append(v.bad, violation{ruleUnrepaired, fmt.Sprintf("%s %s %s: %s after rollcall repair --all", one.Lane, one.Key, one.Entry, one.Problem)})
	}
	return nil
}

// violations are those of all damages.
func (v *vandals) violations() []violation {
	all := slices.Clone(v.bad)
	for _, k := range v.marks {
		if bad := k.unnamed(); bad != nil {
			all = append(all, *bad)
		}
	}
	return all
}
