package naming

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v4"
	"golang.org/x/text/unicode/norm"

	"rollcall/tasks"
)

// Spec is a rule as it is written in a configuration.
type Spec struct {
	// Kind is what the rule names: nickname (the default), student or id.
	Kind tasks.Kind `json:"kind" yaml:"kind"`
	// Columns gives columns of the source other names: name: 姓名. The rule uses the names
	// person, name, class, role and chat; each is a column of that name by default, and
	// person is user_id, or student_uid.
	Columns map[string]string `json:"columns,omitempty" yaml:"columns"`
	// Filter are conditions that must all hold for a person. Empty: everyone is named.
	Filter []Condition `json:"filter,omitempty" yaml:"filter"`
	// Template is the name, in the language of text/template with the functions of this
	// package. Of an ID it may be empty: the pinyin of the name.
	Template string `json:"template,omitempty" yaml:"template"`
	// Shorter is used where Template gives a name that is too long. Empty: it is cut.
	Shorter string `json:"shorter,omitempty" yaml:"shorter"`
	// Classes and Roles are what the functions class and role return for a value. Others
	// are returned as they are.
	Classes map[string]string `json:"classes,omitempty" yaml:"classes"`
	Roles   map[string]string `json:"roles,omitempty"   yaml:"roles"`
	// Pinyin are readings of surnames and of whole names: 乐: yue, 张乐: zhang yue.
	Pinyin map[string]string `json:"pinyin,omitempty" yaml:"pinyin"`
	// Chats are the chats of a person. Only nicknames have them.
	Chats Chats `json:"chats,omitzero" yaml:"chats"`
	// Max is the longest name in characters. 0: what the platform takes, which it cannot
	// exceed for students.
	Max int `json:"max,omitzero" yaml:"max"`
	// MaxWidth is the widest name, where a full-width character counts two. 0: no bound.
	MaxWidth int   `json:"max_width,omitzero"   yaml:"max_width"`
	Equal    Equal `json:"equal_names,omitzero" yaml:"equal_names"`
	// Alternatives is how many further IDs are planned for a person, 0 to 10.
	Alternatives int `json:"alternatives,omitzero" yaml:"alternatives"`
	// Examples are checked by Compile. They are no part of the Version.
	Examples []Example `json:"-" yaml:"examples"`
}

// Chats say which chats a person is in: exactly one of Column and Map is set.
type Chats struct {
	Column string `json:"column,omitempty" yaml:"column"` // it holds chat ids, separated by ;
	// Map are the chat ids of each class, separated by ;. Classes are those of Of.
	Map map[string]string `json:"map,omitempty" yaml:"map"`
	// Of is the column of the classes, separated by ;. Empty: class.
	Of string `json:"of,omitempty" yaml:"of"`
	// Missing is what happens to a person whose classes are not in Map: "report" (the
	// default) or "skip".
	Missing string `json:"missing,omitempty" yaml:"missing"`
}

// Equal is what happens to people with equal names in a chat, or to students with equal
// names.
type Equal struct {
	// Suffix follows the name of all but one; its # is the number, from 2. Empty: "#".
	Suffix string `json:"suffix,omitempty" yaml:"suffix"`
	// Within is a column: only equal names with the same value there get suffixes. Empty:
	// all of the chat, or of the rule.
	Within string `json:"within,omitempty" yaml:"within"`
	// Allow leaves equal names as they are.
	Allow bool `json:"allow,omitzero" yaml:"allow"`
}

// Example is a person and what the rule makes of them: exactly one of Nickname, ID and
// LeftOut is set. Nickname is also the name of a student.
type Example struct {
	Person   map[string]string `yaml:"person"` // by column
	Nickname string            `yaml:"nickname"`
	ID       string            `yaml:"id"`
	LeftOut  bool              `yaml:"left_out"` // by the filter
}

// Parse reads a rule from YAML. Unknown keys are errors.
func Parse(content []byte) (Spec, error) {
	var spec Spec
	if len(content) > maxSpec {
		return spec, fmt.Errorf("the rule has %d KiB, at most %d", len(content)>>10, maxSpec>>10)
	}
	if err := yaml.Load(content, &spec, yaml.WithKnownFields()); err != nil {
		return spec, fmt.Errorf("the rule cannot be read: %w", err)
	}
	return spec, nil
}

// Load reads a rule from a part of a YAML file. Unknown keys are errors.
func Load(node *yaml.Node) (Spec, error) {
	var spec Spec
	if err := node.Load(&spec, yaml.WithKnownFields()); err != nil {
		return spec, fmt.Errorf("the rule cannot be read: %w", err)
	}
	return spec, nil
}

// Bounds of a rule.
const (
	maxSpec       = 4 << 20 // bytes of YAML
	maxTemplate   = 2000    // bytes
	maxText       = 4096    // bytes of a value, and of what a template may give
	maxConditions = 50
	maxEntries    = 20_000 // of a map or of a list of values
	maxExamples   = 1000
	minName       = 12 // characters: a suffix of 4 and 7 digits must fit
	minWidth      = 16 // the same, with a full-width suffix
	maxWidth      = 60
	engine        = 1 // raised when a function gives another result for the same rule
)

// Rule is a compiled Spec. It is safe for concurrent use.
type Rule struct {
	spec     Spec
	filter   filter
	template *text
	shorter  *text // nil: none
	classes  map[string]string
	roles    map[string]string
	chats    map[string][]string
	readings readings
	suffix   suffix
	fields   []string // what the templates use, by the names they use
	version  string
}

// Compile checks a rule. It reports everything that is wrong, and each example that gives
// another result.
func Compile(spec Spec) (*Rule, error) {
	r, err := compile(spec)
	if err != nil {
		return nil, err
	}
	var wrong []error
	for i, t := range r.try(spec.Examples) {
		if !t.OK {
			wrong = append(wrong, fmt.Errorf("example %d: the rule gives %s, not %s: correct the rule or the example", i+1, quoted(t.Got), quoted(t.Want)))
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return r, nil
}

// compile is Compile without the examples' results.
func compile(spec Spec) (*Rule, error) {
	r := &Rule{spec: spec}
	var problems []error
	add := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	add(r.fill())
	add(r.checkSizes())
	r.classes, r.roles = foldKeys(spec.Classes), foldKeys(spec.Roles)
	var err error
	r.readings, err = newReadings(spec.Pinyin)
	add(err)
	r.filter, err = newFilter(spec.Filter)
	add(err)
	r.chats, err = r.newChats()
	add(err)
	r.suffix, err = newSuffix(r.spec.Equal)
	add(err)
	r.template, err = r.parse("template", r.spec.Template)
	add(err)
	if spec.Shorter != "" {
		r.shorter, err = r.parse("shorter", spec.Shorter)
		add(err)
	}
	add(r.checkExamples())
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	r.fields = r.template.fields
	if r.shorter != nil {
		r.fields = slices.Concat(r.fields, r.shorter.fields)
	}
	slices.Sort(r.fields)
	r.fields = slices.Compact(r.fields)
	r.version, err = versionOf(r.spec)
	return r, err
}

// fill checks the kind and fills in what depends on it.
func (r *Rule) fill() error {
	s := &r.spec
	s.Kind = cmp.Or(s.Kind, tasks.KindNickname)
	kind := r.kind()
	switch {
	case kind.Person == "":
		return fmt.Errorf("kind %.40q: must be nickname, student or id", string(s.Kind))
	case s.Kind == tasks.KindID:
		return r.fillID()
	}
	s.Max = cmp.Or(s.Max, kind.Longest)
	switch {
	case strings.TrimSpace(s.Template) == "":
		return errors.New("template is missing: write one, as in {{.class}} {{.name}}")
	case s.Kind == tasks.KindStudent && s.Max > kind.Longest:
		return fmt.Errorf("max is %d: ClassIn cuts names of students after %d characters", s.Max, kind.Longest)
	case s.Max < minName || s.Max > maxText/16:
		return fmt.Errorf("max is %d: must be %d to %d characters", s.Max, minName, maxText/16)
	case s.MaxWidth != 0 && (s.MaxWidth < minWidth || s.MaxWidth > maxWidth):
		return fmt.Errorf("max_width is %d: must be %d to %d, where a full-width character counts two", s.MaxWidth, minWidth, maxWidth)
	case s.Alternatives != 0:
		return errors.New("alternatives is only for the kind id: remove it")
	}
	return nil
}

func (r *Rule) fillID() error {
	s := &r.spec
	if s.Template == "" {
		s.Template = "{{pinyin .name}}"
	}
	switch {
	case s.Max != 0 || s.MaxWidth != 0 || s.Shorter != "" || s.Equal != (Equal{}):
		return errors.New("max, max_width, shorter and equal_names are not for the kind id, whose IDs are numbered: remove them")
	case s.Alternatives < 0 || s.Alternatives > tasks.MaxAlternatives:
		return fmt.Errorf("alternatives is %d: must be 0 to %d", s.Alternatives, tasks.MaxAlternatives)
	}
	return nil
}

func (r *Rule) checkSizes() error {
	s := r.spec
	for name, n := range map[string]int{"columns": len(s.Columns), "classes": len(s.Classes), "roles": len(s.Roles), "pinyin": len(s.Pinyin), "chats.map": len(s.Chats.Map)} {
		if n > maxEntries {
			return fmt.Errorf("%s has %d entries, at most %d", name, n, maxEntries)
		}
	}
	for name, column := range s.Columns {
		if strings.TrimSpace(name) == "" || strings.TrimSpace(column) == "" {
			return errors.New("columns has an empty entry: write a name and the column of the source, as in name: 姓名")
		}
	}
	if n := len(s.Examples); n > maxExamples {
		return fmt.Errorf("examples has %d entries, at most %d", n, maxExamples)
	}
	return nil
}

// Kind is what the rule names.
func (r *Rule) Kind() tasks.Kind { return r.spec.Kind }

// Version identifies what the rule does. It changes with the filter, the template and
// everything else that may change a name, and not with the examples.
func (r *Rule) Version() string { return r.version }

func versionOf(spec Spec) (string, error) {
	content, err := json.Marshal(struct {
		Engine int  `json:"engine"`
		Spec   Spec `json:"spec"`
	}{engine, spec}, json.Deterministic(true))
	if err != nil {
		return "", fmt.Errorf("the rule holds text that is not UTF-8: %w", err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:10]), nil
}

// Fold makes values alike that differ in case, width or surrounding spaces: "７A班 " and
// "7a班".
func Fold(value string) string {
	return strings.ToLower(strings.TrimSpace(norm.NFKC.String(value)))
}

func foldKeys(of map[string]string) map[string]string {
	folded := make(map[string]string, len(of))
	for _, key := range slices.Sorted(maps.Keys(of)) {
		folded[Fold(key)] = of[key]
	}
	return folded
}
