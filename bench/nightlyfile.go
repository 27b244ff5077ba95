package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/night"
	"rollcall/internal/redisdb"
	runs "rollcall/internal/run"
	"rollcall/internal/source"
	"rollcall/tasks"
)

const (
	// nightArgument makes the bench a process that carries out one night of a file.
	nightArgument = "night-file"
	// differingShare of the rows of a large roster change in a night.
	differingShare = 0.001
	// copied is how many targets are recorded in a round trip.
	copied = 1000
)

// nightDifference compares a night over a large roster, of which few names changed, from
// its file to the run that is applied and the records that are renewed, with a program that
// enqueues the file in a loop.
func nightDifference(ctx context.Context, t *theatre) ([]result, error) {
	n := t.tempo.rows
	file := filepath.Join(t.dir, "night.csv")
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := func(address string, number, calls int) *exec.Cmd {
		return exec.CommandContext(ctx, binary, nightArgument, address, file, strconv.Itoa(number), strconv.Itoa(calls)) //nolint:gosec // this very binary
	}
	ours, err := t.overFile(ctx, func(s *store, address string) (*exec.Cmd, error) {
		if err := recordAll(ctx, s.rdb, n); err != nil {
			return nil, err
		}
		if err := writeNight(file, n, 0); err != nil {
			return nil, err
		}
		// The last night has the same people, so that absences are compared, too.
		if _, err := measure(command(address, 1, 0), filepath.Join(t.dir, "file.log")); err != nil {
			return nil, err
		}
		calls := int(differingShare * float64(n))
		return command(address, 2, calls), writeNight(file, n, calls)
	})
	if err != nil {
		return nil, err
	}
	peer, err := t.overFile(ctx, func(_ *store, address string) (*exec.Cmd, error) {
		return exec.CommandContext(ctx, binary, fileArgument, address, file), nil //nolint:gosec // this very binary
	})
	peerIs := fmt.Sprintf("a program that reads the file of %d rows and calls asynq.Client.Enqueue in a loop", n)
	return []result{
		{"nightly.difference_seconds", ours.seconds, peer.seconds, "s", peerIs},
		{"nightly.difference_cpu_seconds", ours.cpu, peer.cpu, "s", peerIs + "; both with Redis' own time"},
		{"nightly.difference_mib", ours.mib, peer.mib, "MiB", peerIs},
	}, err
}

// member returns the nth member of a large roster.
func member(n int) tasks.NicknameSync {
	return tasks.NicknameSync{
		Tenant: tenant, ChatID: fmt.Sprintf("chat7Af%05d", n/perChat), UserID: fmt.Sprintf("user%07d", n), Nickname: fmt.Sprintf("7A 张三 %d", n),
	}
}

// writeNight writes a file with n members, of whom some have other names, evenly spread.
func writeNight(name string, n, changed int) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	w := csv.NewWriter(file)
	_ = w.Write([]string{"chat_id", "user_id", "nickname"}) // Error has it
	for i := range n {
		row := member(i)
		if changed > 0 && i%(n/changed) == 0 && i/(n/changed) < changed {
			row.Nickname += " 新"
		}
		_ = w.Write([]string{row.ChatID, row.UserID, row.Nickname})
	}
	w.Flush()
	return errors.Join(w.Error(), file.Close())
}

// recordAll records n members as the ledger does: one of them is settled, and the others
// get a copy of its record.
func recordAll(ctx context.Context, rdb redis.UniversalClient, n int) error {
	if err := settleTask(ctx, ledger.New(rdb), member(0), 0); err != nil {
		return err
	}
	keyOf := func(t tasks.NicknameSync) string {
		target, _ := kinds.Change(t, organisation)
		return fmt.Sprintf("rollcall:{%s/%s}:target:%s", target.Organisation, target.API, target.Key)
	}
	record, err := rdb.HGetAll(ctx, keyOf(member(0))).Result()
	if err != nil || len(record) == 0 {
		return errors.Join(errors.New("a settled target has no record"), err)
	}
	for from := 1; from < n; from += copied {
		_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := from; i < min(n, from+copied); i++ {
				var entries []any
				for name, value := range record {
					if value == member(0).Nickname {
						value = member(i).Nickname
					}
					entries = append(entries, name, value)
				}
				p.HSet(ctx, keyOf(member(i)), entries...)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// redisSeconds is the CPU time of a Redis so far.
func redisSeconds(ctx context.Context, rdb redis.UniversalClient) (float64, error) {
	text, err := rdb.Info(ctx, "cpu").Result()
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
		value, err := infoSeconds(text, name)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

func infoSeconds(info, field string) (float64, error) {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("INFO has no %s", field)
}

// nightOfFile is the process of a night. It fails unless the night plans so many calls.
func nightOfFile(ctx context.Context, address, name, number, calls string) (err error) {
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	rdb, err := redisdb.Open("redis://" + address + "/0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rdb.Close()) }()
	files, err := source.NewFiles(source.FilesSpec{Place: source.Place{Path: name, Settle: time.Nanosecond}})
	if err != nil {
		return err
	}
	record := ledger.New(rdb)
	nights := night.New(night.Config{Redis: rdb, Ledger: record, Runs: runs.New(runs.Config{Redis: rdb, Ledger: record})})
	tick := time.Now().Truncate(time.Hour).AddDate(0, 0, n)
	report, err := nights.Run(ctx, night.Night{Name: "nightly", Source: files, Rule: night.Columns{Tenant: tenant}}, tick)
	if err == nil && (strconv.Itoa(report.Planned) != calls || report.State != night.StateSending) {
		err = fmt.Errorf("the night plans %d calls instead of %s: %+v", report.Planned, calls, report)
	}
	return err
}
