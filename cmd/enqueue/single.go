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

// single is what the commands for one task have in common. build returns the
// task; flagOf names the flag or argument that a field of it came from.
func (a *app) single(cmd *cobra.Command, build func(args []string) tasks.Task, flagOf map[string]string) *cobra.Command {
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&a.key, "key", "", "your own `NAME` for the task: within 24 h\nit is stored once")
	cmd.Flags().StringVar(&a.source, "source", "", "who says it: a `NAME`. Of one source\nthe highest --number wins")
	cmd.Flags().Int64Var(&a.number, "number", 0, "the source's own change time or counter, `N`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var empty []string
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if value := f.Value.String(); value == "" || value == "[]" {
				empty = append(empty, "--"+f.Name)
			}
		})
		if len(empty) > 0 {
			return cli.BadInput("%s: nothing is given: leave it out, or say what", strings.Join(empty, ", "))
		}
		if cmd.Flags().Changed("source") != cmd.Flags().Changed("number") {
			return cli.BadInput("--source and --number go together: say both, or neither")
		}
		options, err := a.options()
		if err != nil {
			return err
		}
		client, err := a.connect()
		if err != nil {
			return err
		}
		if client != nil {
			defer func() { _ = client.Close() }()
		}
		task := build(args)
		result := a.enqueueAll(cmd.Context(), client, []tasks.Request{{Task: task, Options: options}})[0]
		r := a.newReport()
		r.add(entry{task: task, key: a.key, result: result, position: func(p tasks.Problem) string { return flagName(p.Field, flagOf) }})
		if code := r.exitCode(); code != exitcode.OK {
			if code == exitRefused {
				code = exitcode.Usage // it was the only one
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
		Short: "Give a member of a DingTalk chat a nickname there",
		Long: `Give a member of a DingTalk chat a nickname there. The nickname is sent as it
is: 1 to 30 characters unless the tenant allows more, no control characters.
Write -- before one that begins with a dash.`,
		Example: `  enqueue nickname --tenant lakeside-dt --chat chat1 --user u1 "张三"
  enqueue nickname --tenant lakeside-dt --chat chat1 --user u1 \
      --urgent --key 2026-03-01/u1 "[monitor] Ann"`,
		Args: cli.Exactly("the nickname"),
	}
	cmd.Flags().StringVar(&t.Tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	cmd.Flags().StringVar(&t.ChatID, "chat", "", "the chat's `ID`, from the server API")
	cmd.Flags().StringVar(&t.UserID, "user", "", "the member's user `ID`")
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
		Use:   "course --tenant T COURSE",
		Short: "Take over a ClassIn course's names from the school's console",
		Long: `Give all students and auditors of a ClassIn course the names that the school's
console has for them. Nicknames that teachers set by hand are overwritten.`,
		Example: `  enqueue course --tenant lakeside-ci 561294`,
		Args:    cli.Exactly("the course's id"),
	}
	cmd.Flags().StringVar(&t.Tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	build := func(args []string) tasks.Task {
		t.CourseID = args[0]
		return t
	}
	return a.single(cmd, build, map[string]string{"tenant": "--tenant", "course_id": "the course's id"})
}

func (a *app) idCommand() *cobra.Command {
	var t tasks.IDChange
	cmd := &cobra.Command{
		Use:   "id --tenant T --user U ID [ALTERNATIVE...]",
		Short: "Change an employee's DingTalk ID, which works once a year",
		Long: `Change an employee's DingTalk ID. DingTalk allows it once a year, and nobody can
take it back. An alternative is tried when the ID before it is somebody else's,
in the order given, at most 10. An ID is a letter, then 5 to 19 letters and
digits.

A change that may or may not have been applied waits for a person: rollcall ids
list shows those, rollcall ids confirm and reject settle one.`,
		Example: `  enqueue id --tenant lakeside-dt --user u1 zhangsan01
  enqueue id --tenant lakeside-dt --user u1 zhangsan01 zhangsan02 zhangsan03`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no ID is given: say which ID the employee is to have")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&t.Tenant, "tenant", "", "`NAME` of the tenant in the configuration")
	cmd.Flags().StringVar(&t.UserID, "user", "", "the employee's user `ID`")
	build := func(args []string) tasks.Task {
		t.DingTalkID, t.Alternatives = args[0], args[1:]
		return t
	}
	return a.single(cmd, build, map[string]string{
		"tenant": "--tenant", "user_id": "--user", "dingtalk_id": "the ID", "alternatives": "the alternatives",
	})
}
