package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes redis-server end with a test binary that is killed or panics
// after its timeout, when no Cleanup runs.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
