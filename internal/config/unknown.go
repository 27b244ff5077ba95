package config

import (
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

func (d *document) unknown(k *yaml.Node, t reflect.Type, path []any, rule string) {
	switch {
	case t == reflect.TypeFor[Source]():
		// The key itself may be the secret.
		d.reportLine(k.Line, path, "has a key other than env and file; write {env: NAME} or {file: /path}")
		d.reported = append(d.reported, path)
		return
	case k.Tag == "!!merge":
		d.reportLine(k.Line, path, "uses <<, which is not supported; write the keys out, or give a whole value by *name")
		return
	}
	names := fieldNames(t, rule)
	known := "the keys here are " + strings.Join(names, ", ")
	if i := slices.IndexFunc(names, func(name string) bool { return alike(name, k.Value) }); i >= 0 {
		known = "did you mean " + names[i] + "?"
	} else if positions := elsewhere(k.Value); len(positions) == 1 || len(positions) == 2 {
		known = "it belongs under " + strings.Join(positions, " or ") + "; check the indentation"
	}
	d.reportLine(k.Line, path, "has an unknown key %s; %s", shortened(k.Value), known)
}

// alike finds near misses: appKey, app-key, tenant, rediss.
func alike(name, written string) bool {
	fold := func(s string) string { return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s)) }
	name, written = fold(name), fold(written)
	return name == written || len(written) > 2 && (strings.HasPrefix(name, written) || strings.HasPrefix(written, name))
}

// elsewhere lists the sections that have a key with that name.
func elsewhere(name string) []string {
	if find("limit."+name).path != "" {
		return nil // a key of a limit, of which there is one for each API
	}
	var sections []string
	for _, k := range keys {
		i := strings.LastIndexByte(k.path, '.')
		section := k.path[:max(i, 0)]
		if k.path[i+1:] != name || name == "" || section == "secret" || section == "limit" {
			continue
		}
		if section == "" {
			section = "the top level"
		}
		sections = append(sections, section)
	}
	return sections
}
