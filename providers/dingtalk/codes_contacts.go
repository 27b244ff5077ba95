package dingtalk

import "rollcall/providers"

const (
	docUserIDs     = help + "query-the-list-of-department-userids"
	fixDepartment  = "check the id of the department"
	fixScope       = "add the department to the contact scope of the app in the developer console, or leave it out of what is read"
	fixContactsKey = "grant the app the permissions qyapi_get_department_list, qyapi_get_department_member and qyapi_get_member"
)

// contactRows are the answers of the calls that list contacts that mean something else
// there, or do not occur elsewhere.
func contactRows() []providers.Code {
	return []providers.Code{
		{Code: "60003", Kind: providers.Rejected, Meaning: "no such department", Fix: fixDepartment, Doc: docUserIDs},
		{Code: "50004", Kind: providers.Rejected, Meaning: "the department is outside the app's contact scope", Fix: fixScope, Doc: docCodes},
		{
			Code: "60011", Kind: providers.Misconfigured, Scope: providers.ScopeLane, Meaning: "the app lacks a permission",
			Fix: fixContactsKey, Doc: docCodes,
		},
		{HTTP: "200", Code: "0", Kind: providers.Transient, Tries: 3, Meaning: "a success without the documented result", Fix: fixReport},
	}
}
