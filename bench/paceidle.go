package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"rollcall/tasks"
)

const (
	manyTenants = 33 // of DingTalk, three lanes each; one of ClassIn with one
	manyLanes   = 100
	// ticks of a processor in a second, the unit of process times in Linux.
	ticks = 100
	// idleLimit never makes a task of this scene wait.
	idleLimit = 40
)

// rest is the cost of an idle process, and how soon it picks up a task.
type rest struct{ cpu, memory, pickup float64 }

// idle runs a hundred idle lanes, and then gives some of them a task.
func idle(ctx context.Context, t *theatre) ([]result, error) {
	s := setting{name: "idle", kind: slidingKind, calls: idleLimit, per: time.Second, many: true, prompt: true}
	ours, peer, err := both(ctx, t, s, func(ctx context.Context, s *side) (r rest, err error) {
		if err := s.staff(ctx, 1); err != nil {
			return r, err
		}
		if err := s.gate.until(ctx, s.gate.now()+t.tempo.warm); err != nil {
			return r, err
		}
		pid := s.procs[0].cmd.Process.Pid
		before, err := processorTime(pid)
		if err != nil {
			return r, err
		}
		from := s.gate.now()
		if err := s.gate.until(ctx, from+t.tempo.idle); err != nil {
			return r, err
		}
		after, err := processorTime(pid)
		if err != nil {
			return r, err
		}
		r.cpu = 100 * (after - before).Seconds() / (s.gate.now() - from).Seconds()
		if r.memory, err = residentMemory(pid); err != nil {
			return r, err
		}
		r.pickup, err = s.pickups(ctx)
		return r, err
	})
	if err != nil {
		return nil, err
	}
	peerIs := fmt.Sprintf("a process with %d asynq servers with their defaults, two queues each", manyLanes)
	return []result{
		{"pace.idle.cpu", ours.cpu, peer.cpu, "%_of_a_core", peerIs},
		{"pace.idle.memory", ours.memory, peer.memory, "MB", peerIs},
		{"pace.idle.pickup_p50", ours.pickup, peer.pickup, "ms", peerIs},
	}, nil
}

// pickups is the median time, in milliseconds, from before a task is enqueued
// until the platform sees its call.
func (s *side) pickups(ctx context.Context) (float64, error) {
	var waits []float64
	names := s.tenants()
	for i := range s.theatre.tempo.pickups {
		// A task arrives at any time between two polls, not just after one.
		if err := s.gate.until(ctx, s.gate.now()+rand.N(600*time.Millisecond)); err != nil { //nolint:gosec // spreads, keeps no secret
			return 0, err
		}
		lane := rand.IntN(len(names)) //nolint:gosec // spreads, keeps no secret
		task := task(i)
		task.Tenant = names[lane]
		began := s.gate.now()
		if err := s.enqueue(ctx, task, bareQueue(lane, false), tasks.Options{}); err != nil {
			return 0, err
		}
		came, err := s.gate.accepted(ctx, task.UserID, began+drains)
		if err != nil {
			return 0, err
		}
		waits = append(waits, float64((came-began).Microseconds())/1000)
	}
	return median(waits), nil
}

// processorTime is what a process has used of all cores, by Linux' /proc.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(stat))
}

// parseStat reads the 14th and 15th field. The second is a name in brackets and
// may hold anything.
func parseStat(stat string) (time.Duration, error) {
	_, after, _ := strings.Cut(stat[max(0, strings.LastIndexByte(stat, ')')):], " ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0, fmt.Errorf("%q is no line of /proc/PID/stat", stat)
	}
	var sum int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// residentMemory is what a process has in memory, in MB.
func residentMemory(pid int) (float64, error) {
	used, err := memoryOf(pid, "VmRSS:")
	return used / 1e6, err
}

// memoryOf is an entry of a process' status, in bytes.
func memoryOf(pid int, entry string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, entry); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(size), "kB")), 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of process %d", entry, pid)
}
