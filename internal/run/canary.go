package run

import (
	"context"
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
	for at := 0; at < len(t.ready.Canary); {
		number := (t.ready.Canary[at] - 1) / blockRows
		end := at
		for end < len(t.ready.Canary) && (t.ready.Canary[end]-1)/blockRows == number {
			end++
		}
		rows := slices.Clone(t.ready.Canary[at:end])
		if err := t.feedRows(ctx, number, rows); err != nil {
			return err
		}
		// Rows that turned out not to be sent have left the canary.
		for at < len(t.ready.Canary) && (t.ready.Canary[at]-1)/blockRows <= number {
			at++
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
	if due, err = t.revise(ctx, b, due); err != nil {
		return err
	}
	amended, err := t.enqueue(ctx, due)
	if err != nil || !amended {
		return err
	}
	u := update{set: map[string]string{}}
	if err := t.amended(b, &u); err != nil {
		return err
	}
	return t.save(ctx, u)
}
