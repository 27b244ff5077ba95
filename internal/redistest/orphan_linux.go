package redistest

import (
	"os/exec"
	"syscall"
)

// dieWithParent keeps a test binary that was killed, or that panicked on its
// timeout, from leaving a redis-server behind: no Cleanup runs then.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
