package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/ledger"
	"rollcall/tasks"
)

const (
	// fileArgument makes the bench the peer of a plan: a process that enqueues a file.
	fileArgument = "peer-file"
	// memoryEvery is how often the highest memory of a process is read.
	memoryEvery = 20 * time.Millisecond
	mib         = 1 << 20
)

// uploadAndPlan compares the command that uploads a file and plans it against as many
// known targets with a program that enqueues the file in a loop, without any plan.
func uploadAndPlan(ctx context.Context, t *theatre) ([]result, error) {
	n := t.tempo.rows
	file, err := t.roster(n)
	if err != nil {
		return nil, err
	}
	command := filepath.Join(t.dir, "rollcall")
	build := exec.CommandContext(ctx, "go", "build", "-o", command, "rollcall/cmd/rollcall") //nolint:gosec // our own words
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the command: %w\n%s", err, said)
	}
	ours, err := t.overFile(ctx, func(s *store, address string) (*exec.Cmd, error) {
		record := ledger.New(s.rdb)
		if err := together(ctx, 0, n, func(ctx context.Context, i int) error { return settle(ctx, record, i) }); err != nil {
			return nil, err
		}
		// It exits with 0, as every row is unchanged.
		return exec.CommandContext(ctx, command, "plan", "--redis", "redis://"+address+"/0", "--tenant", tenant, file), nil //nolint:gosec // built by us
	})
	if err != nil {
		return nil, err
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	peer, err := t.overFile(ctx, func(_ *store, address string) (*exec.Cmd, error) {
		return exec.CommandContext(ctx, binary, fileArgument, address, file), nil //nolint:gosec // this very binary
	})
	peerIs := fmt.Sprintf("a program that reads the file of %d rows and calls asynq.Client.Enqueue in a loop, without a plan", n)
	return []result{
		{"run.upload_and_plan_seconds", ours.seconds, peer.seconds, "s", peerIs},
		{"run.upload_and_plan_mib", ours.mib, peer.mib, "MiB", peerIs},
	}, err
}

// roster writes a file with the first n tasks.
func (t *theatre) roster(n int) (name string, err error) {
	name = filepath.Join(t.dir, "roster.csv")
	file, err := os.Create(name)
	if err != nil {
		return "", err
	}
	w := csv.NewWriter(file)
	_ = w.Write([]string{"chat_id", "user_id", "nickname"}) // Error has it
	for i := range n {
		row := task(i)
		_ = w.Write([]string{row.ChatID, row.UserID, row.Nickname})
	}
	w.Flush()
	return name, errors.Join(w.Error(), file.Close())
}

// spent is what a process needed. cpu is in seconds, with that of its Redis.
type spent struct{ seconds, cpu, mib float64 }

// overFile runs a process against a Redis of its own. prepare is not counted.
func (t *theatre) overFile(ctx context.Context, prepare func(s *store, address string) (*exec.Cmd, error)) (used spent, err error) {
	err = withStore(ctx, func(s *store, address string) error {
		cmd, err := prepare(s, address)
		if err != nil {
			return err
		}
		before, err := redisSeconds(ctx, s.rdb)
		if err != nil {
			return err
		}
		if used, err = measure(cmd, filepath.Join(t.dir, "file.log")); err != nil {
			return err
		}
		after, err := redisSeconds(ctx, s.rdb)
		used.cpu += after - before
		return err
	})
	return used, err
}

// measure runs a process to its end. Its memory is the highest resident one.
func measure(cmd *exec.Cmd, log string) (spent, error) {
	out, err := os.Create(log)
	if err != nil {
		return spent{}, err
	}
	defer func() { _ = out.Close() }()
	cmd.Stdout, cmd.Stderr = out, out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return spent{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var used spent
	for {
		select {
		case err := <-ended:
			used.seconds = time.Since(began).Seconds()
			if cmd.ProcessState != nil {
				used.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
			}
			if err == nil && used.mib == 0 {
				err = errors.New("it ended before its memory was read")
			}
			if err != nil {
				err = fmt.Errorf("%s %s: %w; end of its output:\n%s", filepath.Base(cmd.Path), cmd.Args[1], err, tail(log))
			}
			return used, err
		case <-time.After(memoryEvery):
			if most, err := memoryOf(cmd.Process.Pid, "VmHWM:"); err == nil { // it may have ended
				used.mib = max(used.mib, most/mib)
			}
		}
	}
}

// enqueueFile is the peer's process.
func enqueueFile(ctx context.Context, address, name string) (err error) {
	file, err := os.Open(name) //nolint:gosec // our own file
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	peer := asynq.NewClient(asynq.RedisClientOpt{Addr: address})
	defer func() { err = errors.Join(err, peer.Close()) }()
	rows := csv.NewReader(file)
	rows.ReuseRecord = true
	for i := -1; ; i++ {
		row, err := rows.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("row %s: %w", strconv.Itoa(i+2), err)
		case i < 0:
			continue // the header
		}
		if err := enqueuePeer(ctx, peer, tasks.NicknameSync{Tenant: tenant, ChatID: row[0], UserID: row[1], Nickname: row[2]}, int64(i+1)); err != nil {
			return err
		}
	}
}
