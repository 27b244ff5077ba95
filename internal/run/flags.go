package run

import "maps"

// GuardFlags returns the flag that allows what a guard finds, by the name of the guard.
func GuardFlags() map[string]string { return maps.Clone(guardFlags) }
