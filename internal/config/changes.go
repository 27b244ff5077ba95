package config

import (
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"rollcall/internal/kinds"
)

// Changes lists the differences between two configurations, one line each: those that
// [TakeOver] applies to a running worker, and those that need a restart. Both arguments
// must come from Load. No line contains a secret.
func Changes(before, after *Config) (reloadable, needsRestart []string) {
	was, is, taken := leavesOf(before), leavesOf(after), leavesOf(TakeOver(before, after))
	reported := map[string]bool{} // a thing that is new or removed as a whole has one line for all its leaves
	report := func(applied bool, line string) {
		switch {
		case reported[line]:
		case applied:
			reloadable = append(reloadable, line)
		default:
			needsRestart = append(needsRestart, line)
		}
		reported[line] = true
	}
	for _, l := range is {
		old, existed := lookUp(was, l)
		if existed && old.value == l.value {
			continue
		}
		used, isUsed := lookUp(taken, l)
		line := l.name() + " was " + old.value + ", is " + l.value
		switch {
		case !existed:
			line = l.nameAmong(was) + " is new"
		case l.long || l.secret:
			line = l.name() + " changed"
		}
		report(isUsed && used.value == l.value, line)
	}
	for _, l := range was {
		if _, exists := lookUp(is, l); !exists {
			_, isUsed := lookUp(taken, l)
			report(!isUsed, l.nameAmong(is)+" is removed")
		}
	}
	return reloadable, needsRestart
}

// leaf is one value of a configuration.
type leaf struct {
	subject, key, value string
	secret              bool
	long                bool   // too long for a line
	source              Source // where a secret comes from
}

func (l leaf) name() string {
	if l.subject == "" {
		return l.key
	}
	return l.subject + ": " + l.key
}

// nameAmong returns the name of the subject if no other leaf is of it.
func (l leaf) nameAmong(others []leaf) string {
	if l.subject == "" || slices.ContainsFunc(others, func(other leaf) bool { return other.subject == l.subject }) {
		return l.name()
	}
	return l.subject
}

func lookUp(all []leaf, l leaf) (leaf, bool) {
	i := slices.IndexFunc(all, func(other leaf) bool { return other.subject == l.subject && other.key == l.key })
	if i < 0 {
		return leaf{}, false
	}
	return all[i], true
}

func leavesOf(c *Config) []leaf {
	var all []leaf
	collect(reflect.ValueOf(*c), "", "", &all)
	for org, t := range c.Tenants() {
		all = append(all, leaf{subject: "tenant " + t.Name, key: "organisation", value: org.Name})
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
	case reflect.Struct, reflect.Map:
		for name, value := range valuesOf(v) {
			collect(value, subject, join(key, name), all)
		}
	case reflect.Bool:
		add(strconv.FormatBool(v.Bool()), false)
	case reflect.Int:
		add(strconv.FormatInt(v.Int(), 10), false)
	default:
		if v.String() != "" {
			add(v.String(), false)
		}
	}
}

// valuesOf yields the values of a section by their keys: those of a struct, or the limits
// of a platform.
func valuesOf(v reflect.Value) iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		if v.Kind() == reflect.Map {
			for _, kind := range kinds.Names() {
				if limits := v.MapIndex(reflect.ValueOf(string(kind))); limits.IsValid() && !yield(string(kind), limits) {
					return
				}
			}
			return
		}
		for field, value := range v.Fields() {
			if name := field.Tag.Get("yaml"); name != "-" && !yield(name, value) {
				return
			}
		}
	}
}

// singular returns the word for one entry of a list whose entries have names.
func singular(list string) string {
	word := list[strings.LastIndexByte(list, '.')+1:]
	if slices.Contains([]string{"organisations", "tenants", "schedules", "users", "tokens", "webhooks", "robots"}, word) {
		return strings.TrimSuffix(word, "s")
	}
	return ""
}
