package dead

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"rollcall/internal/cli"
	"rollcall/internal/deadletter"
	"rollcall/internal/exitcode"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/readfile"
	"rollcall/tasks"
)

// replace enqueues a corrected task instead of the one of a dead letter.
func (e *operation) replace(ctx context.Context, set []string, file string) error {
	if len(e.ids) != 1 || len(set) > 0 && file != "" {
		return cli.BadInput("--set and --task correct one dead letter: give one id, and either --set or --task")
	}
	fields := map[string]string{}
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return cli.BadInput("--set %q: use FIELD=VALUE, with the name of a field of the payload", name)
		}
		fields[name] = value
	}
	return e.runOne(ctx, func(dead ledger.DeadLetter) (tasks.Task, error) {
		if file == "" {
			if _, _, err := kinds.Decode(dead.Type, dead.Payload); err != nil {
				return nil, fmt.Errorf("%w: no task to correct; give the whole task with --task", err)
			}
			return kinds.Correct(dead.Type, dead.Payload, fields)
		}
		text, err := e.read(file)
		if err != nil {
			return nil, err
		}
		return kinds.Parse(tasks.Kind(dead.Kind), text)
	})
}

// taskFileMax bounds the file of a task, in bytes: it may be indented.
const taskFileMax = 2 * kinds.MaxPayload

// read returns the content of a regular file, or of the standard input.
func (e *operation) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(e.a.Stdin, taskFileMax))
	}
	text, err := readfile.Whole(file, taskFileMax)
	if err != nil {
		return nil, fmt.Errorf("--task: %w", err)
	}
	return text, nil
}

// runOne is run for one dead letter, with the task that correct returns.
func (e *operation) runOne(ctx context.Context, correct func(ledger.DeadLetter) (tasks.Task, error)) error {
	if err := e.a.NeedsRedis("rollcall dead replay --set or --task"); err != nil {
		return err
	}
	err := e.run(ctx, func(ctx context.Context, in store, dead []ledger.DeadLetter) []deadletter.Settled {
		task, err := correct(dead[0])
		if err != nil {
			return []deadletter.Settled{{DeadLetter: dead[0], Outcome: deadletter.Refused, Err: err}}
		}
		return []deadletter.Settled{in.(*deadletter.Service).Replace(ctx, dead[0], task)}
	})
	if exit, ok := errors.AsType[*exitcode.Error](err); ok && exit.Code == exitDeadLetterStays {
		exit.Code = exitcode.Usage // no other was given
	}
	return err
}
