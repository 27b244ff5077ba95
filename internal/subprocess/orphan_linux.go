package subprocess

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes a server end with this process, even if that is killed or panics
// and stops nothing.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
