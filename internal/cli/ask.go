package cli

import (
	"bufio"
	"context"
	"os"
	"slices"
	"strings"

	"rollcall/internal/console"

	"golang.org/x/term"
)

// Asks reports whether a person can answer a question.
func (a *App) Asks() bool {
	in, ok := a.Stdin.(*os.File)
	return ok && term.IsTerminal(int(in.Fd())) && a.Stderr.Terminal()
}

// Ask asks a question, and reports whether the answer is yes. An interrupt is an error.
func (a *App) Ask(ctx context.Context, question string) (bool, error) {
	console.Fprintf(a.Stderr, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.Stdin).ReadString('\n') // the end of the input is a no
		answer <- line
	}()
	select {
	case <-ctx.Done():
		console.Fprintln(a.Stderr)
		return false, ctx.Err()
	case line := <-answer:
		return slices.Contains([]string{"y", "yes", "是"}, strings.ToLower(strings.TrimSpace(line))), nil
	}
}
