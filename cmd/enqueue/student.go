package main

import (
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/tasks"
)

func (a *app) studentCommand() *cobra.Command {
	var t tasks.StudentSync
	cmd := &cobra.Command{
		Use:   "student --tenant T --uid UID NAME",
		Short: "Set a ClassIn student's name in the console and all courses",
		Long: `Set the name of a ClassIn student in the institution's console, then copy it
into all unfinished courses of the student. Nicknames that teachers set there
are overwritten. A name has 1 to 24 characters: ClassIn cuts longer ones.

The UID is the one that ClassIn's call "register" returned. A transfer student
is not in the institution and cannot be renamed: the task becomes a dead letter.`,
		Example: `  enqueue student --tenant lakeside-ci --uid 1445886 "张三"`,
		Args:    cli.Exactly("NAME"),
	}
	cmd.Flags().StringVar(&t.Tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	cmd.Flags().StringVar(&t.StudentUID, "uid", "", "the student's ClassIn `UID`")
	build := func(args []string) tasks.Task {
		t.Name = args[0]
		return t
	}
	return a.single(cmd, build, map[string]string{
		"tenant": "--tenant", "student_uid": "--uid", "student_name": "the student's name",
	})
}
