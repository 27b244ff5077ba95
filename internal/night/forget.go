package night

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
)

// Subject is a chat or a person of whom nothing is kept any more.
type Subject struct {
	// ID is that of the chat or the person, which no text of a report may have.
	ID string
	// Member reports whether a member of a chat is meant, or for an empty user the chat.
	Member func(tenant, chat, user string) bool
	// Target reports whether a target is meant.
	Target func(t ledger.Target) bool
}

// Mention counts what schedules keep of a subject: entries of the lists of members, of
// missing ones, of refused values and of changes that wait for calls, and texts of reports.
func (s *Service) Mention(ctx context.Context, of Subject) (int, error) {
	return s.forget(ctx, of, false)
}

// Forget removes what Mention counts. Somebody who is still in the roster is noted again by
// the next night; somebody who was missing is no longer, so that no night removes them from
// a chat. It may be repeated after an error.
func (s *Service) Forget(ctx context.Context, of Subject) (int, error) {
	return s.forget(ctx, of, true)
}

func (s *Service) forget(ctx context.Context, of Subject, remove bool) (int, error) {
	schedules, err := s.rdb.SMembers(ctx, openKey).Result()
	if err != nil {
		return 0, fmt.Errorf("list the schedules: %w", ofKey(openKey, err))
	}
	all := 0
	for _, schedule := range schedules {
		for _, part := range []func(context.Context, string, Subject, bool) (int, error){s.forgetMarks, s.forgetRecords, s.forgetReports} {
			n, err := part(ctx, schedule, of, remove)
			if all += n; err != nil {
				return all, fmt.Errorf("schedule %s: %w", schedule, err)
			}
		}
	}
	return all, nil
}

// forgetMarks removes the fields of hashes that name the subject.
func (s *Service) forgetMarks(ctx context.Context, schedule string, of Subject, remove bool) (int, error) {
	all := 0
	for name, is := range map[string]func(string) bool{keyAbsent: of.member, keyCarried: of.target, keyRefused: of.target} {
		fields, err := s.rdb.HGetAll(ctx, key(schedule, name)).Result()
		if err != nil {
			return all, fmt.Errorf("read %s: %w", name, ofKey(key(schedule, name), err))
		}
		var found []string
		for field := range fields {
			if is(field) {
				found = append(found, field)
			}
		}
		all += len(found)
		if !remove || len(found) == 0 {
			continue
		}
		if err := s.mark(ctx, schedule, name, changes{remove: found}); err != nil {
			return all, err
		}
	}
	return all, nil
}

// member reports whether a member, as hashes and lists name them, is meant.
func (of Subject) member(member string) bool {
	if strings.Count(member, "\t") != 2 {
		return false // not one of ours
	}
	return of.Member(split(member))
}

// target reports whether a target, as hashes name it, is meant.
func (of Subject) target(name string) bool {
	parts := strings.SplitN(name, "/", 3)
	return len(parts) == 3 && of.Target(ledger.Target{Organisation: parts[0], API: parts[1], Key: parts[2]})
}

// forgetRecords removes the subject from what is kept as a whole.
func (s *Service) forgetRecords(ctx context.Context, schedule string, of Subject, remove bool) (int, error) {
	all := 0
	for name, edit := range map[string]func(string) (string, int, error){
		keySeen: of.fromMembers,
		keyBase: func(text string) (string, int, error) { return edited(text, of.fromBase) },
		keyOpen: func(text string) (string, int, error) {
			return edited(text, func(o *openNight) int {
				return of.fromEdits(o.Edits) + of.fromBase(&o.Base) + of.fromReport(&o.Report)
			})
		},
	} {
		k := key(schedule, name)
		text, err := s.rdb.Get(ctx, k).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return all, fmt.Errorf("read %s: %w", name, ofKey(k, err))
		}
		next, n, err := edit(text)
		if err != nil {
			return all, unreadable(schedule, name, err)
		}
		if all += n; !remove || n == 0 {
			continue
		}
		switch done, err := swap.Run(ctx, s.rdb, []string{k}, text, next, kept.Milliseconds()).Int(); {
		case err != nil:
			return all, fmt.Errorf("write %s: %w", name, err)
		case done == 0:
			return all, errChanged
		}
	}
	return all, nil
}

// edited changes JSON.
func edited[T any](text string, change func(*T) int) (string, int, error) {
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return "", 0, err
	}
	n := change(&v)
	next, err := json.Marshal(v, json.Deterministic(true))
	return string(next), n, err
}

func (of Subject) fromMembers(packed string) (string, int, error) {
	n := 0
	next, err := packMembers(func(add func(member []byte) error) error {
		return eachMember([]byte(packed), func(member []byte) error {
			if of.member(string(member)) {
				n++
				return nil
			}
			return add(member)
		})
	})
	return string(next), n, err
}

func (of Subject) fromBase(b *base) int {
	n := 0
	for chat := range b.Chats {
		if of.member(chat + "\t") {
			delete(b.Chats, chat)
			n++
		}
	}
	return n
}

func (of Subject) fromEdits(edits map[int]edit) int {
	n := 0
	for row, e := range edits {
		if of.member(e.Member) {
			delete(edits, row)
			n++
		}
	}
	return n
}

// fromReport removes the texts that name the subject. Of a decision the guard's name stays.
func (of Subject) fromReport(r *Report) int {
	named := regexp.MustCompile(`(^|[^\pL\pN_-])` + regexp.QuoteMeta(of.ID) + `($|[^\pL\pN_-])`)
	n := len(r.Problems)
	r.Problems = slices.DeleteFunc(r.Problems, named.MatchString)
	n -= len(r.Problems)
	for i, why := range r.Decide {
		if named.MatchString(why) {
			r.Decide[i], _, _ = strings.Cut(why, ":")
			n++
		}
	}
	if named.MatchString(r.Why) {
		r.Why = ""
		n++
	}
	return n
}

// forgetReports removes texts of reports that name the subject.
func (s *Service) forgetReports(ctx context.Context, schedule string, of Subject, remove bool) (int, error) {
	history, err := s.History(ctx, schedule)
	if err != nil {
		return 0, ofKey(key(schedule, keyReports), err)
	}
	all := 0
	for _, r := range history {
		n := of.fromReport(&r)
		if all += n; !remove || n == 0 {
			continue
		}
		if err := s.saveReport(ctx, r, nil); err != nil {
			return all, err
		}
	}
	return all, nil
}

// ofKey names the key of an error about its type.
func ofKey(k string, err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return fmt.Errorf("the key %s has another type, because another program wrote it: see rollcall repair: %w", k, err)
	}
	return err
}

// Keys are the keys of a schedule that had a night, with their types, and the list of these
// schedules for "".
func Keys(schedule string) map[string]string {
	if schedule == "" {
		return map[string]string{openKey: "set"}
	}
	all := map[string]string{}
	for name, kind := range map[string]string{
		keyOpen: "string", keyBase: "string", keySeen: "string", keyReports: "hash", keyAbsent: "hash", keyCarried: "hash", keyRefused: "hash",
	} {
		all[key(schedule, name)] = kind
	}
	return all
}
