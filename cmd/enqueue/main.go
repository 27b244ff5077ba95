// Command enqueue puts tasks into Redis for rollcall's workers: one from its
// arguments, or many from a file.
//
// It must not import a platform: only workers call one.
package main

import (
	"os"

	"rollcall/internal/cli"
)

func main() {
	os.Exit(cli.Main("enqueue", cli.Process{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Hostname: os.Hostname,
	}, command))
}
