// Package registry holds the list of lanes that workers serve, and the names of
// their queues. Workers publish it in Redis; producers and commands read it.
//
// It must not know what a lane does.
package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

const (
	// Key is the Redis hash in which workers publish the lanes that they serve: a
	// field "<tenant>.<kind>" for each lane, with a JSON object as its value.
	Key = "rollcall:lanes"
	// Life is how long a lane counts as served after a worker last published it:
	// long enough for a worker that is down over a holiday, whose tasks wait.
	Life = 7 * 24 * time.Hour

	lanesFresh = 30 * time.Second
	missFresh  = time.Second
)

// Lane is one tenant × API that workers serve.
type Lane struct {
	Organisation string     `json:"organisation"`
	Tenant       string     `json:"tenant"`
	Kind         tasks.Kind `json:"kind"`
	// NicknameMax is the longest nickname that the tenant allows, in
	// characters. 0: tasks.DefaultNicknameMax.
	NicknameMax int `json:"nickname_max,omitzero"`
	// Address names the address from which the lane's calls leave, where several
	// lanes share a limit of it. Empty: none.
	Address string `json:"address,omitzero"`
	// Seen is when a worker last published the lane; Publish sets it.
	Seen time.Time `json:"seen"`
}

func (l Lane) field() string { return Queue(l.Tenant, l.Kind, false) }

// Publish adds the lanes that the caller serves from now on. Workers call it when
// they start and again every few minutes; it costs one command.
func Publish(ctx context.Context, rdb redis.UniversalClient, lanes []Lane) error {
	if len(lanes) == 0 {
		return nil
	}
	now := time.Now().UTC()
	pairs := make([]any, 0, 2*len(lanes))
	for _, l := range lanes {
		if _, known := kinds.Named(l.Kind); !known || !tasks.ValidTenant(l.Tenant) || l.Organisation == "" {
			return fmt.Errorf("publish lane %q of organisation %q: tenant, kind and organisation must be valid", l.field(), l.Organisation)
		}
		l.Seen = now
		record, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("publish lane %s: %w", l.field(), err)
		}
		pairs = append(pairs, l.field(), record)
	}
	if err := rdb.HSet(ctx, Key, pairs...).Err(); err != nil {
		return fmt.Errorf("publish %d lanes: %w", len(lanes), damaged(err))
	}
	return nil
}

// damaged names the key in an error about its type.
func damaged(err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return fmt.Errorf("damaged key in Redis, %q: is not a hash: see rollcall repair: %w", Key, err)
	}
	return err
}

// Read returns the lanes that are served at now, sorted by name; for a now of zero
// all that ever were. Records that cannot be read are left out: a newer worker may
// write them in another form.
func Read(ctx context.Context, rdb redis.UniversalClient, now time.Time) ([]Lane, error) {
	records, err := rdb.HGetAll(ctx, Key).Result()
	if err != nil {
		return nil, fmt.Errorf("read which lanes are served: %w", damaged(err))
	}
	var lanes []Lane
	for _, field := range slices.Sorted(maps.Keys(records)) {
		var l Lane
		if json.Unmarshal([]byte(records[field]), &l) != nil || l.field() != field || l.Organisation == "" {
			continue
		}
		if now.Sub(l.Seen) <= Life {
			lanes = append(lanes, l)
		}
	}
	return lanes, nil
}

// APIs returns a lane for each organisation's API among lanes, in their order: the targets of
// an API are those of all its lanes.
func APIs(lanes []Lane) []Lane {
	var apis []Lane
	for _, l := range lanes {
		if !slices.ContainsFunc(apis, func(o Lane) bool { return o.Organisation == l.Organisation && o.Kind == l.Kind }) {
			apis = append(apis, l)
		}
	}
	return apis
}

// Damaged returns what is wrong with the entries of Key that no worker can have written, by
// field. One of a newer form is not damaged.
func Damaged(records map[string]string, now time.Time) map[string]string {
	damaged := map[string]string{}
	for field, record := range records {
		var l Lane
		switch {
		case !jsontext.Value(record).IsValid():
			damaged[field] = fmt.Sprintf("the entry of lane %.80q is no JSON", field)
		case json.Unmarshal([]byte(record), &l) == nil && l.Seen.After(now.Add(24*time.Hour)):
			damaged[field] = fmt.Sprintf("lane %.80q was published at %s, which has not come", field, l.Seen.Format(time.RFC3339))
		}
	}
	return damaged
}

// Directory is a producer's cached view of the lanes. It is safe for concurrent use.
type Directory struct {
	source func(context.Context) ([]Lane, error)
	now    func() time.Time

	mu    sync.Mutex // held across a reading, so that one caller reads for all
	read  time.Time
	lanes map[string]Lane // by field
}

// NewDirectory returns a Directory that reads from rdb on first use. The age of
// what it has read is measured with now.
func NewDirectory(rdb redis.UniversalClient, now func() time.Time) *Directory {
	return NewDirectoryOf(func(ctx context.Context) ([]Lane, error) { return Read(ctx, rdb, now()) }, now)
}

// NewDirectoryOf returns a Directory of the lanes that source returns.
func NewDirectoryOf(source func(context.Context) ([]Lane, error), now func() time.Time) *Directory {
	return &Directory{source: source, now: now}
}

// Find returns the lane of tenant and kind, at most half a minute old. A lane that
// is missing is read again, as a worker may just have started, but at most once a
// second: a whole file may name a tenant that is not served. While the list is damaged, a
// lane counts as it was last read. Errors: a [*tasks.UnservedError], or one of Redis.
func (d *Directory) Find(ctx context.Context, tenant string, kind tasks.Kind) (Lane, error) {
	field := Queue(tenant, kind, false)
	d.mu.Lock()
	defer d.mu.Unlock()
	lane, known := d.lanes[field]
	age := d.now().Sub(d.read)
	if known && age < lanesFresh {
		return lane, nil
	}
	if known || age >= missFresh {
		lanes, err := d.source(ctx)
		if known && redis.HasErrorPrefix(err, "WRONGTYPE") {
			return lane, nil
		}
		if err != nil {
			return Lane{}, err
		}
		d.read, d.lanes = d.now(), make(map[string]Lane, len(lanes))
		for _, l := range lanes {
			d.lanes[l.field()] = l
		}
		lane, known = d.lanes[field]
	}
	if !known {
		return Lane{}, d.unserved(tenant, kind)
	}
	return lane, nil
}

func (d *Directory) unserved(tenant string, kind tasks.Kind) error {
	e := &tasks.UnservedError{Tenant: tenant, Kind: kind}
	for _, field := range slices.Sorted(maps.Keys(d.lanes)) {
		l := d.lanes[field]
		if l.Tenant == tenant {
			e.Kinds = append(e.Kinds, l.Kind)
		}
		if l.Kind == kind {
			e.Tenants = append(e.Tenants, l.Tenant)
		}
	}
	return e
}
