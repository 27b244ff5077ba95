// Command release builds the archives of a version: for each target both
// commands with licence, pages, completions and a bill of materials, and the
// archives' checksums. The same commit gives the same bytes.
//
// It must not know what the commands do: it runs them for their completions
// alone.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/buildinfo"
)

const allTargets = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

// commands are the programs of an archive.
var commands = []string{"worker", "enqueue", "rollcall"} //nolint:gochecknoglobals // a constant list

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH"), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is one run of the command.
type release struct {
	version, revision string
	out               string
	built             time.Time // the time of everything in the archives
	work              string    // a directory that is removed at the end
}

func run(ctx context.Context, args []string, epoch string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	r := release{}
	flags.StringVar(&r.version, "version", "", "version, without the v")
	flags.StringVar(&r.revision, "revision", "unknown", "commit")
	flags.StringVar(&r.out, "out", "dist", "directory for the archives; its older archives are removed")
	targets := flags.String("targets", allTargets, "targets, GOOS/GOARCH, separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if r.version == "" || strings.ContainsAny(r.version, "/ ") {
		return fmt.Errorf("version %q cannot be part of a file name; set it with -version 0.1.0", r.version)
	}
	if r.built, err = sourceDate(ctx, epoch); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp("", "rollcall-release"); err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, os.RemoveAll(r.work)) }()

	same, err := r.shared(ctx)
	if err != nil {
		return err
	}
	if err := r.clear(); err != nil {
		return err
	}
	var sums strings.Builder
	for target := range strings.SplitSeq(*targets, ",") {
		name, err := r.archive(ctx, target, same)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		content, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
		if _, err := fmt.Fprintf(stdout, "%s: %.1f MiB\n", filepath.Join(r.out, name), float64(len(content))/(1<<20)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(sums.String()), 0o644) //nolint:gosec // for everybody
}

// sourceDate is SOURCE_DATE_EPOCH, in Unix seconds, else the time of the commit.
func sourceDate(ctx context.Context, epoch string) (time.Time, error) {
	if epoch == "" {
		out, err := output(ctx, nil, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, fmt.Errorf("cannot read the commit's time: %w; outside a git checkout set SOURCE_DATE_EPOCH to Unix seconds", err)
		}
		epoch = strings.TrimSpace(out)
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q; set it to Unix seconds", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// clear removes the archives of an earlier run, and nothing else.
func (r *release) clear() error {
	if err := os.MkdirAll(r.out, 0o755); err != nil { //nolint:gosec // for everybody
		return err
	}
	older, err := filepath.Glob(filepath.Join(r.out, "rollcall_*"))
	if err != nil {
		return err
	}
	for _, path := range append(older, filepath.Join(r.out, "SHA256SUMS")) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// build compiles the commands for a target into dir and returns their paths.
func (r *release) build(ctx context.Context, goos, goarch, dir string) ([]string, error) {
	set := reflect.TypeFor[buildinfo.Info]().PkgPath() + "."
	env := []string{"CGO_ENABLED=0", "GOOS=" + goos, "GOARCH=" + goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS="}
	_, err := output(ctx, env, "go", "build", "-trimpath", "-buildvcs=false", "-o", dir+string(filepath.Separator),
		"-ldflags", "-s -w -X "+set+"version="+r.version+" -X "+set+"revision="+r.revision, "./cmd/worker", "./cmd/enqueue", "./cmd/rollcall")
	paths := make([]string, len(commands))
	for i, name := range commands {
		paths[i] = filepath.Join(dir, name+suffix(goos))
	}
	return paths, err
}

func suffix(goos string) string {
	if goos == "windows" {
		return ".exe"
	}
	return ""
}

// shared are the files that are the same in every archive.
func (r *release) shared(ctx context.Context) ([]file, error) {
	paths, err := r.build(ctx, runtime.GOOS, runtime.GOARCH, filepath.Join(r.work, "host"))
	if err != nil {
		return nil, err
	}
	pages, err := filepath.Glob("deploy/man/*.1")
	if err != nil {
		return nil, err
	}
	names := map[string]string{"LICENSE": "LICENSE", "README.md": "README.md", "CHANGELOG.md": "CHANGELOG.md"} // by path
	for _, page := range pages {
		names[page] = "man/man1/" + filepath.Base(page)
	}
	var files []file
	for path, name := range names {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%w; run release at the root of the checkout", err)
		}
		files = append(files, file{name: name, content: content})
	}
	for i, name := range commands {
		for shell, script := range map[string]string{"bash": name + ".bash", "zsh": "_" + name, "fish": name + ".fish", "powershell": name + ".ps1"} {
			out, err := output(ctx, nil, paths[i], "completion", shell)
			if err != nil {
				return nil, err
			}
			files = append(files, file{name: "completions/" + script, content: []byte(out)})
		}
	}
	return files, nil
}

// archive writes the archive of a target and returns its name.
func (r *release) archive(ctx context.Context, target string, same []file) (string, error) {
	goos, goarch, ok := strings.Cut(target, "/")
	if !ok {
		return "", errors.New("no target; give GOOS/GOARCH, such as linux/amd64")
	}
	paths, err := r.build(ctx, goos, goarch, filepath.Join(r.work, goos+"-"+goarch))
	if err != nil {
		return "", err
	}
	files := append([]file{}, same...)
	for i, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		bill, err := r.bill(ctx, path)
		if err != nil {
			return "", err
		}
		files = append(files, file{name: filepath.Base(path), content: content, program: true},
			file{name: "sbom/" + commands[i] + ".cdx.json", content: bill})
	}
	base := "rollcall_" + r.version + "_" + goos + "_" + goarch
	name, write := base+".tar.gz", tarball
	if goos == "windows" {
		name, write = base+".zip", zipped
	}
	content, err := write(base, r.built, files)
	if err != nil {
		return "", err
	}
	return name, os.WriteFile(filepath.Join(r.out, name), content, 0o644) //nolint:gosec // for everybody
}

// bill is the CycloneDX bill of materials of a program, as JSON: the modules
// that were linked, as the go command recorded them in it.
func (r *release) bill(ctx context.Context, path string) ([]byte, error) {
	out, err := output(ctx, nil, "go", "tool", "-modfile=tools/go.mod", "cyclonedx-gomod", "bin",
		"-json", "-std", "-licenses", "-noserial", "-notimestamp", "-version", "v"+r.version, path)
	if err != nil {
		return nil, err
	}
	return withoutToolHashes([]byte(out))
}

// withoutToolHashes removes the checksums of the generator itself, which is
// compiled on each machine and differs with its paths.
func withoutToolHashes(bill []byte) ([]byte, error) {
	var bom map[string]any
	if err := json.Unmarshal(bill, &bom); err != nil {
		return nil, fmt.Errorf("cyclonedx-gomod wrote no JSON: %w", err)
	}
	metadata, _ := bom["metadata"].(map[string]any)
	tools, _ := metadata["tools"].([]any)
	if len(tools) == 0 {
		return nil, errors.New("the bill of materials names no generator; its checksums cannot be removed, so two machines would write different archives")
	}
	for _, tool := range tools {
		if tool, ok := tool.(map[string]any); ok {
			delete(tool, "hashes")
		}
	}
	return json.MarshalIndent(bom, "", "  ")
}

// output runs a command and returns its standard output.
func output(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // commands of ours
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return string(out), nil
}
