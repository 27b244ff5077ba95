package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall/internal/cli"
	"rollcall/internal/exitcode"
	"rollcall/tasks"
)

// single adds the common part of the commands for one task. build returns the task;
// flagOf maps a field of it to its flag or argument.
func (a *app) single(cmd *cobra.Command, build func(args []string) tasks.Task, flagOf map[string]string) *cobra.Command {
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&a.key, "key", "", "your own `NAME` for the task; a task with the\nsame key is stored once within 24 h")
	cmd.Flags().StringVar(&a.source, "source", "", "`NAME` of the source of the change; of one\nsource the highest --number wins")
	cmd.Flags().Int64Var(&a.number, "number", 0, "change time or counter of the source, `N`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var empty []string
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if value := f.Value.String(); value == "" || value == "[]" {
				empty = append(empty, "--"+f.Name)
			}
		})
		if len(empty) > 0 {
			return cli.BadInput("%s: empty value: set a value, or leave the flag out", strings.Join(empty, ", "))
		}
		if cmd.Flags().Changed("source") != cmd.Flags().Changed("number") {
			return cli.BadInput("--source and --number go together: set both or neither")
		}
		options, err := a.options()
		if err != nil {
			return err
		}
		task := build(args)
		result, err := a.enqueueOne(cmd.Context(), tasks.Request{Task: task, Options: options})
		if err != nil {
			return err
		}
		r := a.newReport()
		r.add(entry{task: task, key: a.key, result: result, position: func(p tasks.Problem) string { return flagName(p.Field, flagOf) }})
		if code := r.exitCode(); code != exitcode.OK {
			if code == exitRefused {
				code = exitcode.Usage // it is the only task
			}
			return &exitcode.Error{Code: code}
		}
		return nil
	}
	return cmd
}

// flagName turns add_user_ids[1] into "--add, entry 2".
func flagName(field string, flagOf map[string]string) string {
	name, index, listed := strings.Cut(field, "[")
	flag, known := flagOf[name]
	switch {
	case name == "source" || name == "number":
		return "--" + name
	case !known:
		return field
	}
	var i int
	if listed {
		if _, err := fmt.Sscanf(index, "%d]", &i); err == nil {
			return fmt.Sprintf("%s, entry %d", flag, i+1)
		}
	}
	return flag
}

func (a *app) nicknameCommand() *cobra.Command {
	var t tasks.NicknameSync
	cmd := &cobra.Command{
		Use:   "nickname --tenant T --chat C --user U NICKNAME",
		Short: "Set the nickname of a member of a DingTalk chat",
		Long: `Set the nickname of a member of a DingTalk chat. It is sent unchanged: 1 to 30
characters unless the tenant allows more, no control characters. Write -- before
a nickname that begins with a dash.`,
		Example: `  enqueue nickname --tenant lakeside-dt --chat chat1 --user u1 "张三"
  enqueue nickname --tenant lakeside-dt --chat chat1 --user u1 \
      --urgent --key 2026-03-01/u1 "[monitor] Ann"`,
		Args: cli.Exactly("NICKNAME"),
	}
	cmd.Flags().StringVar(&t.Tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	cmd.Flags().StringVar(&t.ChatID, "chat", "", "`ID` of the chat, from the server API")
	cmd.Flags().StringVar(&t.UserID, "user", "", "user `ID` of the member")
	build := func(args []string) tasks.Task {
		t.Nickname = args[0]
		return t
	}
	return a.single(cmd, build, map[string]string{
		"tenant": "--tenant", "chat_id": "--chat", "user_id": "--user", "nickname": "the nickname",
	})
}

func (a *app) courseCommand() *cobra.Command {
	var t tasks.CourseSync
	cmd := &cobra.Command{
		Use:   "course --tenant T [--students UID,UID...] COURSE",
		Short: "Copy the names of the school's console into a ClassIn course",
		Long: `Set the nicknames of all students and auditors of a ClassIn course to the names
in the school's console. Nicknames that teachers set are overwritten.

ClassIn may fail for some members without naming them. With --students, rollcall
then renames each of these students, and the result names those that failed.`,
		Example: `  enqueue course --tenant lakeside-ci 561294
  enqueue course --tenant lakeside-ci --students 1445886,1445887 561294`,
		Args: cli.Exactly("COURSE"),
	}
	cmd.Flags().StringVar(&t.Tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	cmd.Flags().StringSliceVar(&t.StudentUIDs, "students", nil, "ClassIn `UIDS` of the course's students, at most 200")
	build := func(args []string) tasks.Task {
		t.CourseID = args[0]
		return t
	}
	return a.single(cmd, build, map[string]string{"tenant": "--tenant", "course_id": "the course's id", "student_uids": "--students"})
}

func (a *app) idCommand() *cobra.Command {
	var t tasks.IDChange
	cmd := &cobra.Command{
		Use:   "id --tenant T --user U ID [ALTERNATIVE...]",
		Short: "Change an employee's DingTalk ID, which works once a year",
		Long: `Change an employee's DingTalk ID. DingTalk allows one change a year, and it is
final. If an ID belongs to someone else, the alternatives are tried in the given
order, at most 10. An ID is a letter, then 5 to 19 letters and digits.

If the outcome of a change is unknown, a person must look it up: see rollcall
ids list, rollcall ids confirm and rollcall ids reject.`,
		Example: `  enqueue id --tenant lakeside-dt --user u1 zhangsan01
  enqueue id --tenant lakeside-dt --user u1 zhangsan01 zhangsan02 zhangsan03`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("missing argument: ID, the new ID of the employee")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&t.Tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	cmd.Flags().StringVar(&t.UserID, "user", "", "user `ID` of the employee")
	build := func(args []string) tasks.Task {
		t.DingTalkID, t.Alternatives = args[0], args[1:]
		return t
	}
	return a.single(cmd, build, map[string]string{
		"tenant": "--tenant", "user_id": "--user", "dingtalk_id": "the ID", "alternatives": "the alternatives",
	})
}
