package ledger

import (
	"context"
	"fmt"
)

// ForgetRows removes the details of rows of a run at an organisation's API: old values,
// request ids, messages. The results of the rows stay. One round trip to read, and one if
// there was anything.
func (l *Ledger) ForgetRows(ctx context.Context, organisation, api string, run RunName, rows []int) error {
	target, of := Target{Organisation: organisation, API: api}, Row{Tenant: run.Tenant, Run: run.Run}
	wanted, blocks, err := l.readDetails(ctx, target, of, rows)
	if err != nil {
		return err
	}
	remove := l.rdb.Pipeline()
	for n, block := range blocks {
		for _, entry := range block.Val() {
			row, _, err := readDetail(entry)
			if err == nil && wanted[row+n*detailsTogether] {
				remove.LRem(ctx, of.detailsBlock(target, n), 0, entry)
			}
		}
	}
	if remove.Len() == 0 {
		return nil
	}
	if _, err := remove.Exec(ctx); err != nil {
		return fmt.Errorf("ledger: remove details of run %s: %w", run.Run, err)
	}
	return nil
}
