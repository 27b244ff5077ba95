package tasks

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
)

const (
	// LanesKey is the Redis hash in which workers say what they serve: one field
	// "<tenant>.<kind>" a lane, a JSON object as its value.
	LanesKey = "rollcall:lanes"
	// LaneLife is how long a lane counts as served after a worker last said so:
	// long enough for a worker that is down over a holiday, whose tasks wait.
	LaneLife = 7 * 24 * time.Hour

	lanesFresh = 30 * time.Second
	missFresh  = time.Second
)

// Lane is one tenant × API that workers serve.
type Lane struct {
	Organisation string `json:"organisation"`
	Tenant       string `json:"tenant"`
	Kind         Kind   `json:"kind"`
	// NicknameMax is the longest nickname that the tenant allows, in
	// characters. 0: DefaultNicknameMax.
	NicknameMax int `json:"nickname_max,omitzero"`
	// Address names what the lane's calls leave from, where several lanes share
	// a limit of it. Empty: none.
	Address string `json:"address,omitzero"`
	// Seen is when a worker last published the lane; PublishLanes sets it.
	Seen time.Time `json:"seen"`
}

func (l Lane) field() string { return Queue(l.Tenant, l.Kind, false) }

// UnservedError tells that no worker has said, in the last LaneLife, that it
// serves the lane a task belongs in. Such a task would wait for ever.
type UnservedError struct {
	Tenant string
	Kind   Kind
	// Kinds are what the tenant is served for; empty if it is not served at all.
	Kinds []Kind
	// Tenants are all tenants that are served for Kind, sorted.
	Tenants []string
}

func (e *UnservedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no worker serves %s tasks of tenant %q: ", e.Kind, e.Tenant)
	if len(e.Kinds) > 0 {
		fmt.Fprintf(&b, "it is served for %s; ", join(e.Kinds))
	}
	if len(e.Tenants) == 0 {
		fmt.Fprintf(&b, "no tenant is served for %s tasks: start a worker, or look at its configuration", e.Kind)
	} else {
		fmt.Fprintf(&b, "served for %s tasks are %s", e.Kind, strings.Join(e.Tenants, ", "))
	}
	return b.String()
}

func join(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// PublishLanes says that the caller serves lanes from now on. Workers do so
// when they start and again every few minutes; it costs one command.
func PublishLanes(ctx context.Context, rdb redis.UniversalClient, lanes []Lane) error {
	if len(lanes) == 0 {
		return nil
	}
	now := time.Now().UTC()
	pairs := make([]any, 0, 2*len(lanes))
	for _, l := range lanes {
		if !ValidTenant(l.Tenant) || l.Kind.Type() == "" || l.Organisation == "" {
			return fmt.Errorf("publish lane %q of organisation %q: tenant, kind and organisation must be valid", l.field(), l.Organisation)
		}
		l.Seen = now
		record, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("publish lane %s: %w", l.field(), err)
		}
		pairs = append(pairs, l.field(), record)
	}
	if err := rdb.HSet(ctx, LanesKey, pairs...).Err(); err != nil {
		return fmt.Errorf("publish %d lanes: %w", len(lanes), err)
	}
	return nil
}

// ReadLanes returns the lanes that are served at now, sorted by name; for a now
// of zero all that ever were. Records that cannot be read are left out: a newer
// worker may write them otherwise.
func ReadLanes(ctx context.Context, rdb redis.UniversalClient, now time.Time) ([]Lane, error) {
	records, err := rdb.HGetAll(ctx, LanesKey).Result()
	if err != nil {
		return nil, fmt.Errorf("read which lanes are served: %w", err)
	}
	var lanes []Lane
	for _, field := range slices.Sorted(maps.Keys(records)) {
		var l Lane
		if json.Unmarshal([]byte(records[field]), &l) != nil || l.field() != field || l.Organisation == "" {
			continue
		}
		if now.Sub(l.Seen) <= LaneLife {
			lanes = append(lanes, l)
		}
	}
	return lanes, nil
}

// directory is a producer's cached view of the lanes.
type directory struct {
	rdb redis.UniversalClient
	now func() time.Time

	mu    sync.Mutex // held across a reading, so that one caller reads for all
	read  time.Time
	lanes map[string]Lane // by field
}

// find returns the lane of tenant and kind. One that is missing is looked for
// again at once, as a worker may just have started; a whole file for a tenant
// that nobody serves costs a reading a second, not one a row.
func (d *directory) find(ctx context.Context, tenant string, kind Kind) (Lane, error) {
	field := Queue(tenant, kind, false)
	d.mu.Lock()
	defer d.mu.Unlock()
	lane, known := d.lanes[field]
	age := d.now().Sub(d.read)
	if known && age < lanesFresh {
		return lane, nil
	}
	if known || age >= missFresh {
		lanes, err := ReadLanes(ctx, d.rdb, d.now())
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

func (d *directory) unserved(tenant string, kind Kind) error {
	e := &UnservedError{Tenant: tenant, Kind: kind}
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
