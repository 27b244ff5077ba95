package access

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"sync/atomic"

	"rollcall/internal/secret"
)

// Role is what a user of the pages may do. Each role may do all that the roles before it
// may. The zero value is Viewer.
type Role string

// The roles.
const (
	Viewer        Role = "viewer"        // sees the pages
	Operator      Role = "operator"      // holds and releases lanes, uploads and steers runs, settles dead letters
	Approver      Role = "approver"      // approves and rejects runs that are held
	Administrator Role = "administrator" // also sees names and ids of people in clear
)

// Roles lists every Role, from the least to the most.
func Roles() []Role { return []Role{Viewer, Operator, Approver, Administrator} }

// Covers reports whether the role may do what another role may.
func (r Role) Covers(other Role) bool {
	needed := slices.Index(Roles(), other)
	return needed >= 0 && slices.Index(Roles(), cmp.Or(r, Viewer)) >= needed
}

// User is who looks at the pages.
type User struct {
	// Name is empty where the pages need no login.
	Name string
	Role Role
	// Names means that the user sees names and ids of people in clear.
	Names bool
}

// May reports whether the user may do what a role may.
func (u User) May(r Role) bool { return u.Role.Covers(r) }

// By is what events and runs call the user.
func (u User) By() string { return cmp.Or(u.Name, "a user without a login") }

// Account is a user as the configuration declares it.
type Account struct {
	Name     string
	Password secret.Text
	Role     Role
	Names    bool // beyond what the role shows
}

func (a Account) user() User {
	role := cmp.Or(a.Role, Viewer)
	return User{Name: a.Name, Role: role, Names: a.Names || role == Administrator}
}

// Users are the accounts of the pages. Its methods are safe for concurrent use.
type Users struct{ all atomic.Pointer[[]Account] }

// NewUsers returns Users with these accounts.
func NewUsers(accounts ...Account) *Users {
	u := &Users{}
	u.all.Store(&accounts)
	return u
}

// Empty reports whether there is no account: the pages need no login then.
func (u *Users) Empty() bool { return len(*u.all.Load()) == 0 }

// SetPasswords changes the passwords of accounts that exist. Others are ignored.
func (u *Users) SetPasswords(accounts []Account) {
	current := slices.Clone(*u.all.Load())
	for i, a := range current {
		for _, other := range accounts {
			if other.Name == a.Name && !other.Password.IsZero() {
				current[i].Password = other.Password
			}
		}
	}
	u.all.Store(&current)
}

func (u *Users) named(name string) (Account, bool) {
	all := *u.all.Load()
	i := slices.IndexFunc(all, func(a Account) bool { return a.Name == name })
	if i < 0 {
		return Account{}, false
	}
	return all[i], true
}

// known returns the account with a name and a password. It compares with every account, so
// that the time it takes reveals nothing.
func (u *Users) known(name, password string) (Account, bool) {
	all, found := *u.all.Load(), -1
	for i, a := range all {
		found = subtle.ConstantTimeSelect(same(name, a.Name)&same(password, a.Password.Reveal()), i, found)
	}
	if found < 0 {
		return Account{}, false
	}
	return all[found], true
}

// same compares digests, because a direct comparison would reveal the length.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
