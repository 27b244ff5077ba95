package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent leaves nothing behind when this process is killed itself.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
