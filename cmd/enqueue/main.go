// Command enqueue puts tasks into Redis for rollcall's workers: one from its
// arguments, or many from a file.
//
// It must not know any platform: the workers alone talk to one.
package main

import "rollcall/internal/cli"

func main() { cli.Main("enqueue", command) }
