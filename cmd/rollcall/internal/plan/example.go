package plan

import (
	"cmp"

	"rollcall/internal/cli"
	"rollcall/internal/roster"
	"rollcall/tasks"
)

// example prints a file with the columns of a kind and one row.
func (a *app) example(f *Flags, lang Language) error {
	kind, err := f.read.Kind()
	if err != nil {
		return err
	}
	kind = cmp.Or(kind, tasks.KindNickname)
	values, known := examples()[kind]
	if !known {
		return cli.BadInput("--example: there is no example of kind %s", kind)
	}
	heads, cells := []string{}, []string{}
	for _, v := range values {
		head := v.column
		if names := roster.Synonyms(v.column); lang == "zh" && len(names) > 0 {
			head = names[0]
			if v.zh != "" {
				head = v.zh
			}
		}
		heads, cells = append(heads, head), append(cells, v.value)
	}
	out := a.Stdout.CSV()
	for _, row := range [][]string{heads, cells} {
		if err := out.Row(row); err != nil {
			return err
		}
	}
	return out.Flush()
}

// value is a column of an example. zh is its Chinese name, if it is not the first synonym.
type value struct{ column, zh, value string }

// examples are the columns that are usual for each kind.
func examples() map[tasks.Kind][]value {
	return map[tasks.Kind][]value{
		tasks.KindNickname: {
			{"tenant", "", "lakeside-dt"}, {"chat_id", "", "chat1"}, {"user_id", "", "u1"}, {"nickname", "", "张三"}, {"previous", "原昵称", ""},
		},
		tasks.KindCourse: {{"tenant", "", "lakeside-ci"}, {"course_id", "", "561294"}},
		tasks.KindGroup: {
			{"tenant", "", "lakeside-dt"},
			{"chat_id", "", "chat1"},
			{"name", "", "三年二班"},
			{"owner", "", "u1"},
			{"add_user_ids", "", "u2;u3"},
			{"del_user_ids", "", ""},
		},
		tasks.KindID: {
			{"tenant", "", "lakeside-dt"}, {"user_id", "", "u1"}, {"dingtalk_id", "", "zhangsan01"}, {"alternatives", "", "zhangsan02;zhangsan03"},
		},
		tasks.KindStudent: {
			{"tenant", "", "lakeside-ci"}, {"student_uid", "", "1445886"}, {"student_name", "", "张三"}, {"previous", "原姓名", ""},
		},
	}
}
