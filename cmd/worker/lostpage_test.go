package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const lostPage = "../../docs/lost-replies.md"

// row is what became of a story when a reply was lost.
type row struct {
	step

	met               bool // the command came, and its reply was lost
	said, ends, calls string
}

func (r row) whose() string {
	if r.ofProducer {
		return "producer"
	}
	return "worker"
}

const lostIntro = `# Lost replies

Redis carries a command out, and its reply is lost on the way back. That is when a queue that runs each task at
least once runs one twice, and when a producer does not know whether its task is stored. Below is each command on a
task's path through Redis, in order, and what followed when exactly that reply was lost: once with its connection,
once by a silence that the client gave up on after 5 s. The test that loses them writes this page
(` + "`go test ./cmd/worker -run LostReply -update`" + `): a proxy between Redis and a producer, and another between Redis and
a worker, on a real redis-server.

Whatever is lost, this holds, or the test fails:

- the producer is told ` + "`stored`" + `, and the task is there once;
- the platform ends with what the newest wish says;
- no ID is sent twice;
- no task is left behind, and none ends as a dead letter that should not; the one that should has one letter;
- a wish for the value before, enqueued afterwards, is carried out: nothing wrong was written down. The same wish
  again is mostly ` + "`unchanged`" + `; after a lost reply to ` + "`begin.lua`" + ` it may cost a call, as the send counts as in doubt.

*What becomes of it* is what the sender of the command sees. *Repeated* means that go-redis sends the very command
again, and what that is answered. A second number of calls, or another end, is that after silence.

Not lost here, as they are no step of a task's path: what only looks (the lookout, the sweep, housekeeping of asynq's
for expired leases and completed tasks), which looks again within seconds; what tells people or other processes how
things stand (server state, lanes served); what listens to channels, whose words nobody relies on; and the giving back
of a slot that has passed, which costs a slot. The commands by which a connection is made belong to no task.
[What is guaranteed](guarantees.md) says what a Redis that is away for longer costs.
`

func lostText(told [][]row) string {
	var text strings.Builder
	text.WriteString(lostIntro)
	for i, s := range stories() {
		fmt.Fprintf(&text, "\n## %s\n\n%s\n\n", strings.ToUpper(s.name[:1])+s.name[1:], s.intro)
		text.WriteString("| whose | command | what becomes of it | the task ends as | calls |\n|---|---|---|---|---|\n")
		for _, r := range told[i] {
			if r.met {
				fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", r.whose(), r.command, r.said, r.ends, r.calls)
			}
		}
	}
	return text.String()
}

// written are the rows of a page: story, whose, command → ends and calls.
func written(text string) map[[3]string][2]string {
	rows := map[[3]string][2]string{}
	story := ""
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			story = strings.TrimSpace(heading)
		}
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) == 5 {
			rows[[3]string{story, strings.TrimPrefix(cells[0], "| "), cells[1]}] = [2]string{cells[3], strings.TrimSuffix(cells[4], " |")}
		}
	}
	return rows
}

// compareLost holds the page against what was seen. A machine under load skips
// a step here or takes one more there, a last look at a target or a slot that
// passed: such a row alone is no difference, nor is who repeated the command.
func compareLost(t *testing.T, told [][]row) {
	t.Helper()
	text := lostText(told)
	if *update {
		if err := os.WriteFile(lostPage, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	page, err := os.ReadFile(lostPage)
	if err != nil {
		t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(page), "\n## ")
	if before+"\n" != lostIntro && before != lostIntro {
		t.Errorf("%s begins with another text: go test ./cmd/worker -run LostReply -update writes it", lostPage)
	}
	said, seen := written("## "+after), written(text)
	for key, got := range seen {
		want, there := said[key]
		base, _, _ := strings.Cut(key[2], " (")
		switch {
		case there && want != got:
			t.Errorf("%s says of %v: %v; it was %v", lostPage, key, want, got)
		case !there && !strings.Contains(after, " | "+base):
			t.Errorf("%s does not know the command %v: go test ./cmd/worker -run LostReply -update writes it", lostPage, key)
		}
	}
	for key := range said {
		if _, met := seen[key]; !met {
			t.Logf("this time there was no %v", key)
		}
	}
	if 10*len(seen) < 9*len(said) {
		t.Errorf("%d replies were lost, and the page tells of %d", len(seen), len(said))
	}
}
