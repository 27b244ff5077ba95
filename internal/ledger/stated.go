package ledger

import (
	"context"
	"fmt"
)

// NoteStated records values that a file states, without a call, for targets of which nothing
// is known: an equal change is then unchanged. Each row has one field of mode Value. Their
// evidence is EvidenceStated until a call confirms them. Doing it twice is harmless. One round trip
// for each 64 rows of an organisation's API.
func (l *Ledger) NoteStated(ctx context.Context, rows []Raise) error {
	for _, block := range byTag(len(rows), func(i int) Target { return rows[i].Target }) {
		first := rows[block[0]].Target
		keys, args := []string{first.index()}, []any{keep.Milliseconds()}
		for _, i := range block {
			r := rows[i]
			keys = append(keys, r.Target.redisKey())
			args = append(args, r.Target.Key, r.Revision, r.Fields[0].Name, r.Fields[0].Value)
		}
		if err := stated.Run(ctx, l.rdb, keys, args...).Err(); err != nil && !damaging(err) { // a damaged target stays unknown
			return fmt.Errorf("ledger: record values that a file states: %w", err)
		}
	}
	return nil
}
