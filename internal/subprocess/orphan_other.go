//go:build !linux

package subprocess

import "os/exec"

// dieWithParent does nothing on systems without this feature.
func dieWithParent(*exec.Cmd) {}
