package main_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// build runs make dist's program for targets and returns its directory.
func build(t *testing.T, targets string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "run", "./release", "-version", "9.8.7", "-revision", "abcdef0", "-out", dir, "-targets", targets)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("release: %v\n%s", err, out)
	}
	return dir
}

// entries are the files of an archive and their contents, by name.
func entries(t *testing.T, path string) map[string][]byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	add := func(name string, r io.Reader) {
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = content
	}
	if strings.HasSuffix(path, ".zip") {
		archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			add(f.Name, r)
		}
		return files
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(unpacked)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		add(header.Name, archive)
	}
}

func TestTwoRunsGiveTheSameBytesAndTheArchiveRunsByItself(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes builds of both commands for two targets: make test-long")
	}
	host := runtime.GOOS + "/" + runtime.GOARCH
	first, second := build(t, host+",windows/amd64"), build(t, host)
	var sums []string
	for _, dir := range []string{first, second} {
		content, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, string(content))
	}
	if !strings.HasPrefix(sums[0], sums[1]) { // the first has another target too
		t.Errorf("two runs differ: %q and %q", sums[0], sums[1])
	}
	base := "rollcall_9.8.7_" + runtime.GOOS + "_" + runtime.GOARCH
	archive := filepath.Join(first, base+".tar.gz")
	content, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if line := fmt.Sprintf("%x  %s\n", sha256.Sum256(content), base+".tar.gz"); !strings.Contains(sums[0], line) {
		t.Errorf("SHA256SUMS lacks %s", line)
	}
	for _, c := range []struct{ file, base, suffix string }{
		{archive, base, ""}, {filepath.Join(first, "rollcall_9.8.7_windows_amd64.zip"), "rollcall_9.8.7_windows_amd64", ".exe"},
	} {
		files := entries(t, c.file)
		var missing []string
		for _, name := range []string{
			"worker" + c.suffix, "enqueue" + c.suffix, "rollcall" + c.suffix, "LICENSE", "README.md", "CHANGELOG.md", "man/man1/worker.1", "man/man1/enqueue-bulk.1", "man/man1/rollcall-dead-list.1",
			"completions/enqueue.bash", "completions/_enqueue", "completions/worker.fish", "completions/worker.ps1",
			"sbom/worker.cdx.json", "sbom/enqueue.cdx.json", "sbom/rollcall.cdx.json",
		} {
			if len(files[c.base+"/"+name]) == 0 {
				missing = append(missing, name)
			}
		}
		if len(missing) > 0 {
			t.Errorf("%s lacks %v; it has %v", c.file, missing, slices.Sorted(maps.Keys(files)))
		}
		listed := components(t, files[c.base+"/sbom/worker.cdx.json"])
		if !slices.Contains(listed, "github.com/hibiken/asynq") || !slices.Contains(listed, "std") {
			t.Errorf("%s: the bill of materials of worker lists %v", c.file, listed)
		}
	}
	for _, name := range []string{"worker", "enqueue", "rollcall"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, entries(t, archive)[base+"/"+name], 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), path, "--version")
		cmd.Env = []string{"PATH="}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), name+" 9.8.7 (commit abcdef0, ") {
			t.Errorf("%s --version: %v, %q", name, err, out)
		}
	}
}

// components are the names of what a CycloneDX file lists.
func components(t *testing.T, bill []byte) []string {
	t.Helper()
	var bom struct {
		Format   string `json:"bomFormat"`
		Metadata struct {
			Tools []struct {
				Name   string `json:"name"`
				Hashes []any  `json:"hashes"`
			} `json:"tools"`
		} `json:"metadata"`
		Components []struct {
			Name string `json:"name"`
		} `json:"components"`
	}
	if err := json.Unmarshal(bill, &bom); err != nil || bom.Format != "CycloneDX" {
		t.Fatalf("no CycloneDX file: %v, format %q", err, bom.Format)
	}
	for _, tool := range bom.Metadata.Tools {
		if len(tool.Hashes) > 0 {
			t.Errorf("the bill of materials has checksums of %s, which differ between machines", tool.Name)
		}
	}
	var names []string
	for _, c := range bom.Components {
		names = append(names, c.Name)
	}
	return names
}
