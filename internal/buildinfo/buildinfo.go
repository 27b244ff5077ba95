// Package buildinfo reports which version of rollcall a program is, for the
// commands, the metrics and the User-Agent of every call of a platform.
//
// It must not import any other package of the module: everybody may import it.
package buildinfo

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker: -X rollcall/internal/buildinfo.version=0.1.0. make build,
// the archives and the image do so. Empty: what the go command recorded.
var version, revision string

// Unknown is the version or revision of a program that was built without one.
const Unknown = "unknown"

// Info describes the running program. No field is empty.
type Info struct {
	Version  string // a semantic version without the v, or [Unknown]
	Revision string // the commit, with "-dirty" if files differed from it, or [Unknown]
	Go       string // the Go release that compiled it: go1.26.10
}

// Read returns the version of the running program. The linker's values win over
// those that the go command recorded.
func Read() Info {
	info := Info{Version: version, Revision: revision, Go: runtime.Version()}
	if recorded, ok := debug.ReadBuildInfo(); ok {
		info.fill(recorded)
	}
	if info.Version == "" {
		info.Version = Unknown
	}
	if info.Revision == "" {
		info.Revision = Unknown
	}
	return info
}

func (i *Info) fill(recorded *debug.BuildInfo) {
	settings := map[string]string{}
	for _, s := range recorded.Settings {
		settings[s.Key] = s.Value
	}
	if i.Revision == "" && settings["vcs.revision"] != "" {
		i.Revision = settings["vcs.revision"]
		if settings["vcs.modified"] == "true" {
			i.Revision += "-dirty"
		}
	}
	if v := recorded.Main.Version; i.Version == "" && len(v) > 1 && v[0] == 'v' {
		i.Version = v[1:]
	}
}

// String is the line that the commands print after their name.
func (i Info) String() string {
	return fmt.Sprintf("%s (commit %s, %s, %s/%s)", i.Version, i.Revision, i.Go, runtime.GOOS, runtime.GOARCH)
}

// UserAgent is the User-Agent header of every call of a platform. It names the
// program and its version, and nothing of the machine or its user.
func (i Info) UserAgent() string { return "rollcall/" + i.Version }
