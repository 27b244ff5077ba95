package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/subprocess"
	"rollcall/runs"
)

// uploaderArgument makes this program the uploader of a run, a process of its own that is
// killed.
const uploaderArgument = "upload-run"

const (
	// parts is how many times rows are added to a run, with a pause in between as if their
	// source were slow.
	parts       = 80
	uploadEvery = 25 * time.Millisecond
)

// upload is what an uploader has to do. Equal values give equal rows.
type upload struct {
	Addrs      []string `json:"addrs"` // of Redis
	MasterName string   `json:"master_name"`
	Cluster    bool     `json:"cluster"`
	Tasks      int      `json:"tasks"` // of the plan
	Rows       int      `json:"rows"`
	Seed       uint64   `json:"seed"`
	// Note is the file with the id of the run, which the next uploader continues.
	Note string `json:"note"`
}

// runUploader uploads the long run, or the rest of it.
func runUploader(ctx context.Context, file string) error {
	raw, err := os.ReadFile(file) //nolint:gosec // our own file
	if err != nil {
		return err
	}
	var u upload
	if err := json.Unmarshal(raw, &u); err != nil {
		return err
	}
	client, err := runs.New(runs.Config{Redis: &redis.UniversalOptions{Addrs: u.Addrs, MasterName: u.MasterName, IsClusterMode: u.Cluster}})
	if err != nil {
		return err
	}
	school := newSchool(u.Tasks)
	school.runs = newRunSchool(u.Rows)
	return errors.Join(u.upload(ctx, client, rows(planRuns(school, u.Seed).long)), client.Close())
}

func (u upload) upload(ctx context.Context, client *runs.Client, rows []runs.Row) error {
	id, err := noted(u.Note)
	if err != nil {
		return err
	}
	if id == "" {
		made, err := client.Create(ctx, runs.Draft{Name: "chaos", Author: "uploader", Settings: allowAll()})
		if err != nil {
			return err
		}
		if err := note(u.Note, made.ID); err != nil {
			return err
		}
		id = made.ID
	}
	now, err := client.Get(ctx, id)
	if err != nil {
		return err
	}
	for in := now.Rows; in < len(rows); pause(ctx, uploadEvery) {
		if in, err = client.Add(ctx, id, in, rows[in:min(in+1+len(rows)/parts, len(rows))]); err != nil {
			return err
		}
	}
	_, err = client.Seal(ctx, id, len(rows))
	return err
}

// allowAll are settings of a run that no guard holds.
func allowAll() runs.Settings {
	return runs.Settings{Allowed: []string{"allow-changes", "allow-suspicious", "allow-equal-names", "allow-lost-chinese", "prune", "allow-id-changes"}}
}

// noted returns the id in a note, "" if there is none.
func noted(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

// note writes an id, wholly or not at all.
func note(file, id string) error {
	if err := os.WriteFile(file+".new", []byte(id), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// uploader starts uploaders until one has uploaded the whole run, and kills the first
// ones.
type uploader struct {
	program string // this one
	work    upload
	dir     string
	killed  int
}

// newUploader returns an uploader of a run for a Redis.
func newUploader(options *redis.UniversalOptions, s settings, dir string) (*uploader, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &uploader{program: program, dir: dir, work: upload{
		Addrs: options.Addrs, MasterName: options.MasterName, Cluster: options.IsClusterMode,
		Tasks: s.tasks, Rows: s.runs, Seed: s.seed, Note: filepath.Join(dir, "run"),
	}}, nil
}

// run returns the id of the run when all rows are in. lives are how long the uploaders
// live that are killed.
func (u *uploader) run(ctx context.Context, client *runs.Client, lives ...time.Duration) (string, error) {
	raw, err := json.Marshal(u.work)
	if err != nil {
		return "", err
	}
	file := filepath.Join(u.dir, "upload.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return "", err
	}
	for ctx.Err() == nil {
		c, err := subprocess.Start(subprocess.Command{
			Program: u.program, Args: []string{uploaderArgument, file}, Log: filepath.Join(u.dir, "uploader.log"),
		})
		if err != nil {
			return "", err
		}
		var life <-chan time.Time // nil: without end
		if len(lives) > 0 {
			life = time.After(lives[0])
		}
		select {
		case <-c.Ended(): // it is done, or failed with Redis
			pause(ctx, askAgain)
		case <-life:
			c.Kill()
			u.killed, lives = u.killed+1, lives[1:]
		case <-ctx.Done():
			c.Kill()
		}
		if id, in := u.sealed(ctx, client); in {
			return id, nil
		}
	}
	return "", fmt.Errorf("the run was not uploaded in time: %w", ctx.Err())
}

// sealed reports whether the upload has ended.
func (u *uploader) sealed(ctx context.Context, client *runs.Client) (id string, in bool) {
	id, err := noted(u.work.Note)
	if err != nil || id == "" {
		return "", false
	}
	now, err := client.Get(ctx, id)
	return id, err == nil && now.Sealed
}
