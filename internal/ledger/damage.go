package ledger

import "fmt"

// Damage is something in Redis that cannot be what rollcall wrote. It is skipped.
type Damage struct {
	Key  string // in Redis
	What string // that is wrong with it
}

// String names the key and what is wrong with it.
func (d Damage) String() string { return fmt.Sprintf("%.200q: %s", d.Key, d.What) }

// OnDamage sets what is called for each damage that is skipped, on the goroutine that
// found it. Without it, damage is skipped silently.
func (l *Ledger) OnDamage(report func(Damage)) { l.damaged.Store(&report) }

func (l *Ledger) damage(key, format string, args ...any) {
	if report := l.damaged.Load(); report != nil {
		(*report)(Damage{Key: key, What: fmt.Sprintf(format, args...)})
	}
}
