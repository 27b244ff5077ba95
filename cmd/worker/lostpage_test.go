package main

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/internal/manual"
)

const lostIntro = `<!-- generated: make update, from cmd/worker/loststories_test.go -->

# Lost replies

Look up what a lost reply of Redis costs: a command was executed, and its reply is lost on the way back. The tables list
every command on a task's path through Redis. A test loses the reply to each of them in turn, on a real redis-server: once
with its connection, and once by a silence that the client gives up on after 5 s.

For every lost reply, the following holds:

- The producer gets ` + "`stored`" + `, and the task is there once.
- The platform ends with the values of the latest change.
- No ID is sent twice.
- No task is left behind. No task becomes a dead letter that should not; the one that should has one dead letter.
- A change back to the value before, enqueued afterwards, is carried out. The same change again is mostly
  ` + "`unchanged`" + `; after a lost reply to ` + "`begin.lua`" + ` it may cost a call.

After a lost reply to ` + "`dequeue.lua`" + ` the task has no worker and runs again after some 30 s. Commands that are not on a
task's path are not listed: reads that are repeated within seconds, the publishing of state, subscriptions, the return of
a slot that has passed, and the commands that open a connection. [Guarantees](guarantees.md#redis) describes a Redis that
is unavailable for longer.
`

// lostText depends only on the stories and not on measurements: which side repeats a
// command, and how the task then ends, may vary.
func lostText() string {
	var text strings.Builder
	text.WriteString(lostIntro)
	for _, s := range stories() {
		fmt.Fprintf(&text, "\n## %s\n\n%s\n\n", strings.ToUpper(s.name[:1])+s.name[1:], s.intro)
		ends := s.ends[0]
		if last := len(s.ends) - 1; last > 0 {
			ends = strings.Join(s.ends[:last], ", ") + " or " + s.ends[last]
		}
		fmt.Fprintf(&text, "Each task ends as %s, with at most %d calls in all.\n\n", ends, s.most)
		text.WriteString("| sender | command |\n|---|---|\n")
		for _, st := range s.steps {
			fmt.Fprintf(&text, "| %s | %s |\n", st.sender(), st.command)
		}
	}
	return text.String()
}

func TestTheLostPageListsEveryStory(t *testing.T) {
	t.Parallel()
	manual.Page(t, "../../docs/lost-replies.md", lostText(), *update)
}
