package source

import (
	"context"
	"strings"
)

// manifest is what manifest.csv states about the other files.
type manifest struct {
	version string            // "1.1" or "1.2"
	mode    map[string]string // of the files that are read: bulk, delta or absent
}

const (
	bulk   = "bulk"  // the file has every record
	delta  = "delta" // the file has the records that changed
	absent = "absent"
)

func readManifest(ctx context.Context, b *bundle) (manifest, error) {
	if !b.has[manifestFile] {
		return manifest{}, Errorf(Missing, "the bundle has no manifest.csv: write it again")
	}
	properties := map[string]string{}
	why, err := b.lines(ctx, manifestFile, []string{"propertyName", "value"}, func(l line) (string, error) {
		if len(properties) > 1000 {
			return "", Errorf(Malformed, "it has more than 1000 properties")
		}
		properties[l.get("propertyName")] = l.get("value")
		return "", nil
	})
	if err != nil {
		return manifest{}, err
	}
	if why != "" {
		return manifest{}, Errorf(Malformed, "%s", why)
	}
	m := manifest{version: properties["oneroster.version"], mode: map[string]string{}}
	if m.version != "1.1" && m.version != "1.2" {
		return manifest{}, Errorf(Malformed, "manifest.csv: oneroster.version is %.20q: only 1.1 and 1.2 are read", m.version)
	}
	for _, name := range bundled {
		if name == manifestFile || name == rolesFile && m.version == "1.1" {
			continue
		}
		switch mode := strings.ToLower(properties["file."+name]); mode {
		case "", absent:
			m.mode[name] = absent
		case bulk, delta:
			if !b.has[name] {
				return manifest{}, Errorf(Missing, "manifest.csv lists %s.csv, and the bundle does not have it: it is not whole, write it again", name)
			}
			m.mode[name] = mode
		default:
			return manifest{}, Errorf(Malformed, "manifest.csv: file.%s is %.20q: write bulk, delta or absent", name, mode)
		}
	}
	if m.mode[usersFile] == absent {
		return manifest{}, Errorf(Missing, "manifest.csv says that the bundle has no users.csv: export the users")
	}
	return m, nil
}

// deltas returns the files that only have changes.
func (m manifest) deltas() []string {
	var all []string
	for _, name := range bundled {
		if m.mode[name] == delta {
			all = append(all, name+".csv")
		}
	}
	return all
}
