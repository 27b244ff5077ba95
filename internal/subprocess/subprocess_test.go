package subprocess_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/subprocess"
)

func TestAProcessIsReadyOnceItHasWrittenTheLine(t *testing.T) {
	t.Parallel()
	p, err := subprocess.Start(subprocess.Command{
		Program: "sh", Args: []string{"-c", "echo wait; echo server is $WORD >&2; exec sleep 600"}, Env: []string{"WORD=ready"}, Ready: "server is ready",
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Ended():
		t.Error("it has ended")
	default:
	}
	p.Kill()
	p.Kill()
	<-p.Ended()
}

func TestAProcessThatEndsBeforeItIsReadyIsReportedWithItsOutput(t *testing.T) {
	t.Parallel()
	_, err := subprocess.Start(subprocess.Command{Program: "sh", Args: []string{"-c", "echo port in use; exit 1"}, Ready: "ready"})
	if err == nil || !strings.Contains(err.Error(), "port in use") {
		t.Errorf("error: %v", err)
	}
	if _, err := subprocess.Start(subprocess.Command{Program: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a program that does not exist was started")
	}
}

func TestTheOutputIsAddedToTheLog(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	for _, word := range []string{"first", "second"} {
		p, err := subprocess.Start(subprocess.Command{Program: "sh", Args: []string{"-c", "echo " + word}, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Ended()
	}
	if text, err := os.ReadFile(log); err != nil || string(text) != "first\nsecond\n" {
		t.Errorf("log %q, %v", text, err)
	}
}
