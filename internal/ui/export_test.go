package ui

import "rollcall/internal/access"

// Routes returns the role that each page needs, by its pattern.
func (u *UI) Routes() map[string]access.Role {
	all := map[string]access.Role{}
	for _, r := range u.routes {
		all[r.pattern] = r.role
	}
	return all
}

// Messages returns every message in English and Chinese, by its key.
func (u *UI) Messages() map[string][2]string {
	all := map[string][2]string{}
	for key, m := range u.messages {
		all[key] = [2]string{m.EN, m.ZH}
	}
	return all
}
