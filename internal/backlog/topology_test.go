package backlog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/backlog"
	"rollcall/internal/redistest"
)

// The queues of a Cluster are on several nodes, and the user has restricted
// permissions.
func TestQueuesAreReadAndRepairedInEveryTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		ctx, rdb := t.Context(), d.Client(t)
		queues := []string{"a", "b", "c", "d", normal}
		if d.Name == "cluster" && d.Together(t, backlog.Key("a", "pending"), backlog.Key("b", "pending")) {
			t.Fatal("all queues are on one node, so the test proves nothing")
		}
		for i, queue := range queues {
			for _, id := range []string{"one", "two", "three", "four", "five"}[:i] {
				put(t, rdb, queue, id)
			}
		}
		pending, err := backlog.Pending(ctx, rdb, queues)
		if diff := cmp.Diff([]int64{0, 1, 2, 3, 4}, pending); diff != "" || err != nil {
			t.Errorf("%v; pending, -want +got:\n%s", err, diff)
		}
		all, err := backlog.Read(ctx, rdb, queues)
		if err != nil {
			t.Fatal(err)
		}
		for i, queue := range all {
			if queue.Name != queues[i] || queue.Pending != int64(i) || (queue.Oldest > 0) != (i > 0) {
				t.Errorf("queue %d reads %+v", i, queue)
			}
		}
		states, _, err := backlog.States(ctx, rdb, []backlog.Task{{Queue: "b", ID: "one"}, {Queue: "a", ID: "one"}, {Queue: "c", ID: "two"}})
		if diff := cmp.Diff([]string{"pending", "", "pending"}, states); diff != "" || err != nil {
			t.Errorf("%v; states, -want +got:\n%s", err, diff)
		}

		m := backlog.NewRepairer(rdb)
		if err := rdb.LPush(ctx, backlog.Key(normal, "active"), "lost", "missing").Err(); err != nil {
			t.Fatal(err)
		}
		if raw, unreadable, err := m.Unreadable(ctx, normal, "missing"); !unreadable || err != nil {
			t.Errorf("unreadable: %v (%q, %v)", unreadable, raw, err)
		}
		if err := m.Unlist(ctx, normal, "missing"); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]backlog.Active{{ID: "lost"}}, active(t, m)); diff != "" {
			t.Errorf("active, -want +got:\n%s", diff)
		}
		seen := backlog.Orphan{Active: backlog.Active{ID: "lost"}, Since: look(t, m).Now}
		if result, kills, err := m.Requeue(ctx, normal, seen, bound); result != backlog.Requeued || kills.Times != 1 || err != nil {
			t.Errorf("result %d, %+v, %v", result, kills, err)
		}
		looks := m.Look(ctx, queues)
		for i, found := range looks {
			if found.Err != nil || len(found.Active) != 0 || found.Now.Before(seen.Since) {
				t.Errorf("queue %d is seen as %+v", i, found)
			}
		}
		put(t, rdb, "d", "poison")
		if err := rdb.RPopLPush(ctx, backlog.Key("d", "pending"), backlog.Key("d", "active")).Err(); err != nil {
			t.Fatal(err)
		}
		seen.Active = m.Look(ctx, []string{"d"})[0].Active[0]
		if archived, err := m.ArchiveOrphan(ctx, "d", seen, "poison", seen.Since); !archived || err != nil {
			t.Errorf("archived: %v, %v", archived, err)
		}
	})
}
