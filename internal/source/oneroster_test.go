package source_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/source"
)

func bundles(t *testing.T, spec source.OneRosterSpec) *source.OneRoster {
	t.Helper()
	if spec.Settle == 0 {
		spec.Settle = soon
	}
	s, err := source.NewOneRoster(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func bundleAt(t *testing.T, path string) *source.OneRoster {
	t.Helper()
	return bundles(t, source.OneRosterSpec{Place: source.Place{Path: path}})
}

// manifestOf returns a manifest in which the named files are bulk.
func manifestOf(version string, bulk ...string) string {
	m := "propertyName,value\nmanifest.version,1.0\noneroster.version," + version + "\nfile.results,absent\nsource.systemName,SIS\n"
	var mSb41 strings.Builder
	for _, name := range bulk {
		mSb41.WriteString("file." + name + ",bulk\n")
	}
	m += mSb41.String()
	return m
}

// school11 is a bundle of version 1.1, with the columns of its tables
// (https://www.imsglobal.org/oneroster-v11-final-csv-tables).
func school11() map[string]string {
	return map[string]string{
		"manifest.csv": manifestOf("1.1", "users", "orgs", "classes", "enrollments", "academicSessions"),
		"orgs.csv": "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\n" +
			"o1,,,湖畔中学,school,,\no2,,,Lakeside; South,school,,\n",
		"academicSessions.csv": "sourcedId,status,dateLastModified,title,type,startDate,endDate,parentSourcedId,schoolYear\n" +
			"t1,,,Autumn,term,2026-09-01,2027-01-20,,2026\n",
		"classes.csv": "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,schoolSourcedId,termSourcedIds,subjects,subjectCodes,periods\n" +
			"c1,,,Maths 7,07,k1,,scheduled,,o1,\"t1,t0\",,,\nc2,,,七年级1班,07,k2,,homeroom,,o1,t1,,,\nc3,tobedeleted,,Old,07,k2,,scheduled,,o1,t1,,,\n",
		"users.csv": "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,givenName,familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades,password\n" +
			"u1,,,true,o1,student,zhangsan,,三,张,,S1,z@example.edu,,,,\"07,08\",hunter2\n" +
			"u2,,,true,\"o1,o2\",teacher,lisi,,四,李,,T1,,,123,,,hunter2\n" +
			"u3,tobedeleted,,true,o1,student,wangwu,,五,王,,S3,,,,,07,hunter2\n" +
			"u4,active,,false,o1,student,zhaoliu,,六,赵,,S4,,,,,07,hunter2\n",
		"enrollments.csv": "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate\n" +
			"e1,,,c2,o1,u1,student,,,\ne2,,,c1,o1,u1,student,,,\ne3,,,c1,o1,u2,teacher,true,,\ne4,,,c1,o1,u3,student,,,\n" +
			"e5,,,c3,o1,u4,student,,,\ne6,tobedeleted,,c1,o1,u4,student,,,\ne7,,,c1,o1,u1,student,,,\n",
	}
}

// school12 is the same school in version 1.2, without classes
// (https://www.imsglobal.org/spec/oneroster/v1p2/bind/csv).
func school12() map[string]string {
	return map[string]string{
		"manifest.csv": manifestOf("1.2", "users", "roles", "orgs"),
		"orgs.csv":     school11()["orgs.csv"],
		"users.csv": "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,middleName,identifier,email,sms,phone,agentSourcedIds,grades,password,userMasterIdentifier,resourceSourcedIds,preferredGivenName,preferredMiddleName,preferredFamilyName,primaryOrgSourcedId,pronouns\n" +
			"u1,,,true,zhangsan,,三,张,,S1,,,,,07,,,,San,,,o2,\nu2,,,true,lisi,,四,李,,T1,,,,,,,,,,,,,\n",
		"roles.csv": "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,userProfileSourcedId\n" +
			"r1,,,u2,secondary,guardian,,,o2,\nr2,,,u2,primary,teacher,,,o1,\nr3,,,u1,primary,student,2000-01-01,2001-01-01,o1,\nr4,,,u1,primary,student,2001-01-01,,o1,\n",
	}
}

func directory(t *testing.T, bundle map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range bundle {
		write(t, dir, name, content)
	}
	return dir
}

func zipped(t *testing.T, bundle map[string]string) string {
	t.Helper()
	return write(t, t.TempDir(), "bundle.zip", string(zipOf(t, bundle)))
}

func zipOf(t interface{ Fatal(...any) }, bundle map[string]string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(bundle)) {
		method := zip.Deflate
		if bundle[name] == "" {
			method = zip.Store // a thousand empty files need no compression
		}
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = w.Write([]byte(bundle[name]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestABundleGivesOneRecordAPerson(t *testing.T) {
	t.Parallel()
	want := []map[string]string{
		{
			"sourcedId": "u1", "identifier": "S1", "username": "zhangsan", "enabledUser": "true", "givenName": "三", "familyName": "张",
			"email": "z@example.edu", "grade": "07;08", "role": "student", "roles": "student", "orgSourcedIds": "o1", "orgs": "湖畔中学",
			"homeroom": "七年级1班", "classes": "Maths 7;七年级1班", "classSourcedIds": "c1;c2", "terms": "Autumn",
		},
		{
			"sourcedId": "u2", "identifier": "T1", "username": "lisi", "enabledUser": "true", "givenName": "四", "familyName": "李", "phone": "123",
			"role": "teacher", "roles": "teacher", "orgSourcedIds": "o1;o2", "orgs": "湖畔中学;Lakeside, South",
			"classes": "Maths 7", "classSourcedIds": "c1", "terms": "Autumn",
		},
		{
			"sourcedId": "u4", "identifier": "S4", "username": "zhaoliu", "enabledUser": "false", "givenName": "六", "familyName": "赵", "grade": "07",
			"role": "student", "roles": "student", "orgSourcedIds": "o1", "orgs": "湖畔中学",
		},
	}
	inFolder := map[string]string{"__MACOSX/export/users.csv": "junk", "export/readme.txt": "junk", "export/results.csv": "junk"}
	for name, content := range school11() {
		inFolder["export/"+name] = content
	}
	for form, path := range map[string]string{
		"directory": directory(t, school11()), "zip": zipped(t, school11()), "zip with a folder": zipped(t, inFolder),
	} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			got := read(t, bundleAt(t, path))
			if diff := cmp.Diff(want, got.records); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string{"users.csv line 2", "users.csv line 3", "users.csv line 5"}, got.at); diff != "" {
				t.Error(diff)
			}
			if !got.Complete || got.Why != "" || got.Version == "" || got.Modified.IsZero() {
				t.Errorf("%+v", got.Reading)
			}
		})
	}
}

func TestVersion12HasRolesInAFileOfTheirOwn(t *testing.T) {
	t.Parallel()
	got := read(t, bundleAt(t, zipped(t, school12())))
	want := []map[string]string{
		{
			"sourcedId": "u1", "identifier": "S1", "username": "zhangsan", "enabledUser": "true", "givenName": "三", "familyName": "张",
			"preferredGivenName": "San", "grade": "07", "role": "student", "roles": "student", "orgSourcedIds": "o2;o1", "orgs": "Lakeside, South;湖畔中学",
		},
		{
			"sourcedId": "u2", "identifier": "T1", "username": "lisi", "enabledUser": "true", "givenName": "四", "familyName": "李",
			"role": "teacher", "roles": "teacher;guardian", "orgSourcedIds": "o1;o2", "orgs": "湖畔中学;Lakeside, South",
		},
	}
	if diff := cmp.Diff(want, got.records); diff != "" {
		t.Error(diff)
	}
	if !got.Complete || slices.Contains(got.Columns, "classes") {
		t.Errorf("%+v", got.Reading)
	}
}

// An enrolment ends before the day of its endDate. The day is part of the version,
// because the same files have other records on another day.
func TestAnEnrolmentCountsOnItsDays(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 8*3600)
	day := func(offset int) string { return time.Now().In(zone).AddDate(0, 0, offset).Format(time.DateOnly) }
	today := day(0)
	for _, c := range []struct {
		begin, end string
		counts     bool
	}{
		{today, day(1), true},
		{day(-1), "", true},
		{"", day(1) + "T00:00:00Z", true},
		{day(1), day(2), false},
		{day(-2), today, false},
	} {
		bundle := school11()
		bundle["enrollments.csv"] = "classSourcedId,userSourcedId,beginDate,endDate\nc1,u1," + c.begin + "," + c.end + "\n"
		got := read(t, bundles(t, source.OneRosterSpec{Place: source.Place{Path: zipped(t, bundle)}, Zone: zone}))
		if day(0) != today {
			t.Skip("midnight passed")
		}
		if counts := got.records[0]["classes"] != ""; counts != c.counts {
			t.Errorf("from %q to %q counts: %t", c.begin, c.end, counts)
		}
		if !got.Complete || !strings.HasSuffix(got.Version, " "+today) {
			t.Errorf("%+v", got.Reading)
		}
	}
}

// Changes alone do not show who is absent, nor all classes of a person.
func TestOnlyBulkFilesMakeACompleteReading(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"users", "orgs", "classes", "enrollments", "academicSessions"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundle := school11()
			bundle["manifest.csv"] = strings.Replace(bundle["manifest.csv"], "file."+name+",bulk", "file."+name+",delta", 1)
			got := read(t, bundleAt(t, zipped(t, bundle)))
			if len(got.records) != 3 || got.Complete || !strings.Contains(got.Why, "changes (delta) of "+name+".csv") {
				t.Errorf("%+v", got.Reading)
			}
			lost := map[string][]string{
				"orgs": {"orgs"}, "academicSessions": {"terms"},
				"classes":     {"homeroom", "classes", "classSourcedIds", "terms"},
				"enrollments": {"homeroom", "classes", "classSourcedIds", "terms"},
			}
			for _, column := range []string{"orgs", "homeroom", "classes", "classSourcedIds", "terms"} {
				if has := slices.Contains(got.Columns, column); has == slices.Contains(lost[name], column) {
					t.Errorf("column %s is there: %t", column, has)
				}
			}
		})
	}
	t.Run("roles", func(t *testing.T) {
		t.Parallel()
		bundle := school12()
		bundle["manifest.csv"] = strings.Replace(bundle["manifest.csv"], "file.roles,bulk", "file.roles,delta", 1)
		got := read(t, bundleAt(t, zipped(t, bundle)))
		if got.Complete || slices.Contains(got.Columns, "role") {
			t.Errorf("%+v", got.Reading)
		}
	})
}

func TestAbsentFilesLeaveOutTheirColumns(t *testing.T) {
	t.Parallel()
	bundle := school11()
	bundle["manifest.csv"] = manifestOf("1.1", "users")
	path := zipped(t, bundle)
	got := read(t, bundleAt(t, path))
	if !got.Complete || len(got.records) != 3 || slices.Contains(got.Columns, "classes") || slices.Contains(got.Columns, "orgs") {
		t.Errorf("%+v", got.Reading)
	}
	fails(t, bundles(t, source.OneRosterSpec{Place: source.Place{Path: path}, Columns: []string{"classes"}}), source.Malformed, `no column "classes"`)
}

// A file that was cut between two rows shows by what refers to the rest of it.
func TestRowsThatDoNotFitMakeTheReadingIncomplete(t *testing.T) {
	t.Parallel()
	cut := func(text, from string) string { before, _, _ := strings.Cut(text, from); return before }
	for name, change := range map[string]func(map[string]string){
		"users.csv: 1 of 4 rows cannot be used; the first: line 3: another user has the same sourcedId": func(b map[string]string) {
			b["users.csv"] = strings.Replace(b["users.csv"], "\nu2,", "\nu1,", 1)
			b["enrollments.csv"] = strings.Replace(b["enrollments.csv"], "u2", "u1", 1)
		},
		"users.csv: 1 of 4 rows cannot be used; the first: line 3: sourcedId is missing": func(b map[string]string) {
			b["users.csv"] = strings.Replace(b["users.csv"], "\nu2,", "\n,", 1)
			b["enrollments.csv"] = strings.Replace(b["enrollments.csv"], "u2", "u1", 1)
		},
		"users.csv: 1 of 4 rows cannot be used; the first: line 3: status is neither": func(b map[string]string) {
			b["users.csv"] = strings.Replace(b["users.csv"], "\nu2,", "\nu2,maybe", 1)
			b["enrollments.csv"] = strings.Replace(b["enrollments.csv"], "u2", "u1", 1)
		},
		"enrollments.csv: 2 of 7 rows cannot be used; the first: line 5: its user is not in users.csv": func(b map[string]string) {
			b["users.csv"] = cut(b["users.csv"], "u3,")
		},
		"enrollments.csv: 2 of 7 rows cannot be used; the first: line 2: its class is not in classes.csv": func(b map[string]string) {
			b["classes.csv"] = cut(b["classes.csv"], "c2,")
		},
		"enrollments.csv: 1 of 7 rows cannot be used; the first: line 2: endDate is not a date": func(b map[string]string) {
			b["enrollments.csv"] = strings.Replace(b["enrollments.csv"], "u1,student,,,", "u1,student,,,31.12.2026", 1)
		},
		"classes.csv: 1 of 3 rows cannot be used; the first: line 3: sourcedId is missing, or another class has it": func(b map[string]string) {
			b["classes.csv"] = strings.Replace(b["classes.csv"], "\nc2,", "\nc1,", 1)
			b["enrollments.csv"] = strings.Replace(b["enrollments.csv"], "c2", "c1", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundle := school11()
			change(bundle)
			got := read(t, bundleAt(t, directory(t, bundle)))
			if got.Complete || !strings.Contains(got.Why, name) || len(got.records) < 2 {
				t.Errorf("%d records, %+v", len(got.records), got.Reading)
			}
		})
	}
}

func TestABundleThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(map[string]string)
		cause  source.Cause
		words  string
	}{
		"no manifest":       {func(b map[string]string) { delete(b, "manifest.csv") }, source.Missing, "no manifest.csv"},
		"an empty manifest": {func(b map[string]string) { b["manifest.csv"] = "" }, source.Malformed, "manifest.csv is empty"},
		"another manifest":  {func(b map[string]string) { b["manifest.csv"] = "a,b\n" }, source.Malformed, `no column "propertyName", "value"`},
		"an old version":    {func(b map[string]string) { b["manifest.csv"] = manifestOf("1.0", "users") }, source.Malformed, `oneroster.version is "1.0"`},
		"an unknown mode":   {func(b map[string]string) { b["manifest.csv"] += "file.orgs,full\n" }, source.Malformed, `file.orgs is "full"`},
		"no users":          {func(b map[string]string) { b["manifest.csv"] = manifestOf("1.1", "orgs") }, source.Missing, "no users.csv"},
		"a file left out":   {func(b map[string]string) { delete(b, "enrollments.csv") }, source.Missing, "lists enrollments.csv"},
		"an empty file":     {func(b map[string]string) { b["classes.csv"] = "" }, source.Malformed, "classes.csv is empty"},
		"only a header": {func(b map[string]string) {
			b["users.csv"] = "sourcedId,givenName,familyName,role\n"
			b["manifest.csv"] = manifestOf("1.1", "users")
		}, source.Empty, "no user"},
		"all left": {func(b map[string]string) {
			b["users.csv"] = "sourcedId,status,givenName,familyName,role\nu1,tobedeleted,a,b,c\n"
			b["manifest.csv"] = manifestOf("1.1", "users")
		}, source.Empty, "no user"},
		"wrong columns":        {func(b map[string]string) { b["users.csv"] = "id,name\n1,A\n" }, source.Malformed, `users.csv: line 1: no column "sourcedId"`},
		"a cut row":            {func(b map[string]string) { b["users.csv"] = strings.TrimSuffix(b["users.csv"], ",,,07,hunter2\n") }, source.Malformed, "users.csv: line 5: the file ends there"},
		"enrolments of others": {func(b map[string]string) { b["enrollments.csv"] = "classSourcedId,userSourcedId\nc1,x1\nc1,x2\n" }, source.Malformed, "none of 2 rows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundle := school11()
			c.change(bundle)
			for _, path := range []string{directory(t, bundle), zipped(t, bundle)} {
				fails(t, bundleAt(t, path), c.cause, path, c.words)
			}
		})
	}
}

func TestAZIPFileThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	whole := zipOf(t, school11())
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/3] ^= 0xff
	secret := bytes.Clone(whole)
	for _, mark := range []string{"PK\x01\x02"} { // its flags are 8 bytes after the beginning
		for at := 0; ; {
			next := bytes.Index(secret[at:], []byte(mark))
			if next < 0 {
				break
			}
			at += next + 8
			secret[at] |= 1
		}
	}
	twice := maps.Clone(school11())
	twice["sub/users.csv"] = twice["users.csv"]
	many := map[string]string{}
	for i := range 6_000 {
		many[fmt.Sprintf("%s-%06d", strings.Repeat("a-long-name", 15), i)] = ""
	}
	for name, c := range map[string]struct {
		content []byte
		spec    source.OneRosterSpec
		cause   source.Cause
		words   string
	}{
		"half of it":      {whole[:len(whole)/2], source.OneRosterSpec{}, source.Malformed, "it was cut"},
		"damaged":         {damaged, source.OneRosterSpec{}, source.Malformed, ""},
		"a password":      {secret, source.OneRosterSpec{}, source.Malformed, "has a password"},
		"no ZIP":          {[]byte(people), source.OneRosterSpec{}, source.Malformed, "not a ZIP file"},
		"a file twice":    {zipOf(t, twice), source.OneRosterSpec{}, source.Malformed, "users.csv is in the ZIP file twice"},
		"nothing":         {nil, source.OneRosterSpec{}, source.Empty, "is empty"},
		"too large":       {whole, source.OneRosterSpec{Place: source.Place{MaxSize: 100}}, source.TooLarge, "the limit is 100"},
		"a bomb":          {whole, source.OneRosterSpec{MaxUnpacked: 1000}, source.TooLarge, "raise max_unpacked"},
		"too many files":  {zipOf(t, many), source.OneRosterSpec{}, source.TooLarge, "list of files"},
		"nothing of ours": {zipOf(t, map[string]string{"a.csv": people}), source.OneRosterSpec{}, source.Missing, "no manifest.csv"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := c.spec
			spec.Path = write(t, t.TempDir(), "bundle.zip", string(c.content))
			fails(t, bundles(t, spec), c.cause, spec.Path, c.words)
		})
	}
}

// A list of files that lies about its sizes is found when a file is unpacked.
func TestAZIPFileThatLiesAboutItsSizeIsNotUnpacked(t *testing.T) {
	t.Parallel()
	bundle := school11()
	bundle["users.csv"] += strings.Repeat("u1,,,true,o1,student,zhangsan,,三,张,,S1,z@example.edu,,,,07,x\n", 20_000)
	lying := zipOf(t, bundle)
	at := bytes.LastIndex(lying, []byte("users.csv"))
	size := at - 46 + 24 // of the entry, the size that it has unpacked
	copy(lying[size:size+4], []byte{100, 0, 0, 0})
	spec := source.OneRosterSpec{Place: source.Place{Path: write(t, t.TempDir(), "bundle.zip", string(lying))}, MaxUnpacked: 100_000}
	_, err := try(t.Context(), bundles(t, spec))
	fault, ok := errors.AsType[*source.Error](err)
	if !ok || fault.Cause != source.TooLarge && fault.Cause != source.Malformed {
		t.Errorf("%v", err)
	}
}

func TestTheVersionOfABundleIsThatOfItsContent(t *testing.T) {
	t.Parallel()
	dir := directory(t, school11())
	first := read(t, bundleAt(t, dir))
	write(t, dir, "results.csv", "it is not read\n")
	age(t, filepath.Join(dir, "users.csv"), time.Hour)
	if again := read(t, bundleAt(t, dir)); again.Version != first.Version {
		t.Errorf("%s, then %s", first.Version, again.Version)
	}
	write(t, dir, "orgs.csv", "sourcedId,name\no1,Other\n")
	if next := read(t, bundleAt(t, dir)); next.Version == first.Version {
		t.Error("other content has the same version")
	}
}

func TestABundleThatChangesWhileItIsReadIsNotUsed(t *testing.T) {
	t.Parallel()
	dir := directory(t, school11())
	_, err := bundleAt(t, dir).Read(t.Context(), func([]string, source.Record) error {
		return os.WriteFile(filepath.Join(dir, "orgs.csv"), []byte("sourcedId,name\n"), 0o600)
	})
	failed(t, err, source.NotReady, "changed while it was read")
}

func TestTheNewestBundleIsReadWithItsMarkerInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for night, ago := range map[string]time.Duration{"night-1": 24 * time.Hour, "night-2": time.Hour} {
		if err := os.Mkdir(filepath.Join(dir, night), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range school11() {
			age(t, write(t, filepath.Join(dir, night), name, strings.ReplaceAll(content, "湖畔", night)), ago)
		}
	}
	write(t, filepath.Join(dir, "night-1"), "_SUCCESS", "")
	spec := source.OneRosterSpec{Place: source.Place{Path: filepath.Join(dir, "night-*"), Done: "_SUCCESS"}}
	fails(t, bundles(t, spec), source.NotReady, filepath.Join("night-2", "_SUCCESS")+" does not exist")
	write(t, filepath.Join(dir, "night-2"), "_SUCCESS", "")
	if got := read(t, bundles(t, spec)); got.records[0]["orgs"] != "night-2中学" {
		t.Errorf("%v", got.records[0])
	}
	spec.MaxAge = time.Minute
	fails(t, bundles(t, spec), source.NotReady, "more than 1m0s ago")
}

func TestAnErrorOfTheUserEndsABundle(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	calls := 0
	_, err := bundleAt(t, zipped(t, school11())).Read(t.Context(), func([]string, source.Record) error { calls++; return mine })
	if !errors.Is(err, mine) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}
