package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Changes lists the differences between two configurations, one line each: those that a
// running worker can apply (limits, quotas, schedules, tokens, webhooks, robots, and
// rotated secrets), and those that need a restart. Both arguments must come from Load. No line contains a secret.
func Changes(before, after *Config) (reloadable, needsRestart []string) {
	was, is := leavesOf(before), leavesOf(after)
	add := func(l leaf, line string) {
		if l.live {
			reloadable = append(reloadable, line)
		} else {
			needsRestart = append(needsRestart, line)
		}
	}
	reported := map[string]bool{} // subjects that were added or removed as a whole
	for _, l := range is {
		old, existed := lookUp(was, l)
		switch {
		case existed && old.value == l.value:
		case existed && l.long:
			add(l, l.name()+" changed")
		case existed && l.secret:
			l.live = rotated(before, after, l)
			add(l, l.name()+" changed")
		case existed:
			add(l, l.name()+" was "+old.value+", is "+l.value)
		case l.subject != "" && !hasSubject(was, l.subject):
			if !reported[l.subject] {
				reported[l.subject] = true
				add(leaf{live: replaceable(l.subject)}, l.subject+" is new")
			}
		default:
			l.live = l.live || l.secret && rotated(before, after, l)
			add(l, l.name()+" is new")
		}
	}
	for _, l := range was {
		switch _, exists := lookUp(is, l); {
		case exists:
		case l.subject != "" && !hasSubject(is, l.subject):
			if !reported[l.subject] {
				reported[l.subject] = true
				add(leaf{live: replaceable(l.subject)}, l.subject+" is removed")
			}
		default:
			l.live = l.live || l.secret && rotated(before, after, l)
			add(l, l.name()+" is removed")
		}
	}
	return reloadable, needsRestart
}

// leaf is one value of a configuration.
type leaf struct {
	subject, key, value string
	secret, live        bool
	long                bool   // too long for a line
	source              Source // where a secret comes from
}

func (l leaf) name() string {
	if l.subject == "" {
		return l.key
	}
	return l.subject + ": " + l.key
}

// replaceable reports whether a running worker can add, change and remove a thing.
func replaceable(subject string) bool {
	kind, _, _ := strings.Cut(subject, " ")
	return slices.Contains([]string{"schedule", "token", "webhook", "robot"}, kind)
}

func lookUp(all []leaf, l leaf) (leaf, bool) {
	i := slices.IndexFunc(all, func(other leaf) bool { return other.subject == l.subject && other.key == l.key })
	if i < 0 {
		return leaf{}, false
	}
	return all[i], true
}

func hasSubject(all []leaf, subject string) bool {
	return slices.ContainsFunc(all, func(l leaf) bool { return l.subject == subject })
}

func leavesOf(c *Config) []leaf {
	var all []leaf
	collect(reflect.ValueOf(*c), "", "", &all)
	for _, org := range c.Organisations {
		for _, t := range org.Tenants {
			all = append(all, leaf{subject: "tenant " + t.Name, key: "organisation", value: org.Name})
		}
	}
	return all
}

// collect appends the values in v. subject is the innermost named thing, key the path
// from there to v.
func collect(v reflect.Value, subject, key string, all *[]leaf) {
	add := func(value string, secret bool) {
		*all = append(*all, leaf{
			subject: subject, key: key, value: value,
			// The URL of a webhook may contain a secret.
			secret: secret || key == "url" && strings.HasPrefix(subject, "webhook "),
			live:   replaceable(subject) || strings.Contains(key, "limits.") || strings.HasPrefix(key, "quota."),
		})
	}
	switch value := v.Interface().(type) {
	case Source:
		if !value.IsZero() {
			add(value.String()+" "+value.Value.Reveal(), true)
			(*all)[len(*all)-1].source = value
		}
		return
	case yaml.Node:
		if !value.IsZero() {
			text, _ := yaml.Dump(&value) // it was loaded, so it can be written
			add(string(text), false)
			(*all)[len(*all)-1].long = true
		}
		return
	case Limits:
		add(value.String(), false)
		return
	case Duration:
		add(value.String(), false)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			add("there", false)
			collect(v.Elem(), subject, key, all)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.String {
			add(strings.Join(v.Interface().([]string), ", "), false)
			return
		}
		for i := range v.Len() {
			entry := v.Index(i)
			collect(entry, singular(key)+" "+entry.FieldByName("Name").String(), "", all)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("yaml")
			if name == "-" {
				continue
			}
			collect(v.Field(i), subject, join(key, name), all)
		}
	case reflect.Bool:
		add(map[bool]string{true: "true", false: "false"}[v.Bool()], false)
	case reflect.Int:
		add(itoa(int(v.Int())), false)
	default:
		if v.String() != "" {
			add(v.String(), false)
		}
	}
}

// singular returns the word for one entry of a list whose entries have names.
func singular(list string) string {
	switch list[strings.LastIndexByte(list, '.')+1:] {
	case "organisations":
		return "organisation"
	case "tenants":
		return "tenant"
	case "schedules":
		return "schedule"
	case "users":
		return "user"
	case "tokens":
		return "token"
	case "webhooks":
		return "webhook"
	case "robots":
		return "robot"
	}
	return ""
}
