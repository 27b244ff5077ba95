package run

import (
	"context"
	"maps"
	"slices"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// chatOf names the chat of a row for a canary of chats; "" for a row without one.
func chatOf(task tasks.Task) string {
	chat, _, _ := kinds.Involves(task)
	if chat == "" {
		return ""
	}
	tenant, _ := task.Lane()
	return tenant + "/" + chat
}

// fillCanary feeds the rows of the canary.
func (t *turn) fillCanary(ctx context.Context) error {
	if !t.run.Settings.CanaryChats {
		_, _, err := t.fill(ctx)
		return err
	}
	if t.head.fields[fieldChatsFed] != "" {
		return nil
	}
	// The rows are spread over the run, and how far each lane was fed stays as it is: they are
	// fed once more with the rest, which is harmless.
	rows := map[int][]int{} // by block
	for _, row := range t.ready.Canary {
		number := (row - 1) / blockRows
		rows[number] = append(rows[number], row)
	}
	for _, number := range slices.Sorted(maps.Keys(rows)) {
		if err := t.feedRows(ctx, number, rows[number]); err != nil {
			return err
		}
	}
	return t.save(ctx, update{set: map[string]string{fieldChatsFed: "1"}})
}

// feedRows feeds some rows of a block.
func (t *turn) feedRows(ctx context.Context, number int, rows []int) error {
	blocks, err := t.blocks(ctx, t.head.id, []int{number}, true)
	if err != nil {
		return err
	}
	b := blocks[0]
	var due []request
	for _, row := range rows {
		if q := b.rows[row-b.first()]; q.fault == "" {
			due = append(due, q)
		}
	}
	_, u, err := t.send(ctx, b, due)
	if err != nil || len(u.blocks) == 0 {
		return err
	}
	return t.save(ctx, u)
}
