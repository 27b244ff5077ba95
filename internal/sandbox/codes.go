package sandbox

import (
	"strconv"
	"strings"
	"time"
)

// Codes that several calls return.
const (
	jsonType             = "application/json"
	codeInvalidParameter = "parameter.invalid"
	codeIllegalBody      = "commonParamIllegal"
	unlisted             = "unlisted code"
	codeNoPermission     = "Forbidden.AccessDenied.AccessTokenPermissionDenied"
)

// refusal is an answer that is no success.
type refusal struct {
	code    string
	message string // empty: the table's own
	status  int    // 0: the table's own
	scopes  string // the permission that is missing, if that is the matter
	nested  *bool  // legacy only; nil: the table's own
}

// knownCode is a table's entry for one code.
type knownCode struct {
	status  int
	message string
	// gateway marks codes that are answered before the call reaches its service, and
	// therefore before it is metered. In the legacy dialect they are wrapped in errcode
	// 88.
	gateway bool
}

// dialect is how one family of APIs reports success and failure.
type dialect struct {
	contentType string
	codes       map[string]knownCode
	numeric     bool // codes are integers on the wire
	dingtalk    bool // bans addresses, meters by the month
	badToken    string
	quotaSpent  string
	throttled   func(per time.Duration) string
	envelope    func(requestID string, r refusal, known knownCode) any
}

func (d *dialect) refuse(requestID string, r refusal) answer {
	known, listed := d.codes[r.code]
	if !listed {
		known = knownCode{status: d.codes[""].status, message: unlisted + " " + r.code}
	}
	if r.message == "" {
		r.message = known.message
	}
	if r.status == 0 {
		r.status = known.status
	}
	return answer{
		status: r.status, contentType: d.contentType, code: r.code,
		body: encode(d.envelope(requestID, r, known)),
	}
}

// legacyDialect always answers HTTP 200. The gateway's own codes are strings in
// sub_code of errcode 88.
// open.dingtalk.com/document/development/server-api-error-codes-1
func legacyDialect() *dialect {
	return &dialect{
		contentType: "application/json;charset=UTF-8", numeric: true, dingtalk: true,
		badToken: "40014", quotaSpent: "90020", codes: legacyCodes(),
		throttled: func(time.Duration) string { return "90018" },
		envelope:  legacyEnvelope,
	}
}

func legacyEnvelope(requestID string, r refusal, known knownCode) any {
	nested := known.gateway
	if r.nested != nil {
		nested = *r.nested
	}
	code, err := strconv.Atoi(r.code)
	if err != nil {
		code = -1
	}
	if nested {
		detail := "subcode=" + r.code + ",submsg=" + r.message
		if r.scopes != "" {
			detail += ", {requiredScopes=[" + r.scopes + "]}"
		}
		return struct {
			ErrCode   int    `json:"errcode"`
			SubCode   string `json:"sub_code"`
			SubMsg    string `json:"sub_msg"`
			ErrMsg    string `json:"errmsg"`
			RequestID string `json:"request_id"`
		}{88, r.code, r.message, "ding talk error[" + detail + "]", requestID}
	}
	if code == 22 {
		return struct {
			ErrCode   int    `json:"errcode"`
			SubMsg    string `json:"sub_msg"`
			ErrMsg    string `json:"errmsg"`
			RequestID string `json:"request_id"`
		}{code, r.message, "Invalid method[" + r.message + "]", requestID}
	}
	return struct {
		ErrCode   int    `json:"errcode"`
		ErrMsg    string `json:"errmsg"`
		RequestID string `json:"request_id"`
	}{code, r.message, requestID}
}

func legacyCodes() map[string]knownCode {
	codes := map[string]knownCode{
		"":       {message: unlisted},
		"-1":     {message: "system busy"},
		"22":     {message: "no such method"},
		"404":    {message: "the requested URI does not exist"},
		"34001":  {message: "Invalid chatid"},
		"40003":  {message: "Invalid userid"},
		"40033":  {message: "illegal characters: \\uXXXX is not allowed, send UTF-8"},
		"40035":  {message: "illegal parameter"},
		"41049":  {message: "Contains prohibited content"},
		"43002":  {message: "a POST request is required"},
		"43004":  {message: "illegal Content-Type header"},
		"47001":  {message: "the body is no valid JSON"},
		"50002":  {message: "the employee is outside the visible range"},
		"50004":  {message: "the department is outside the contact scope"},
		"60003":  {message: "the department does not exist"},
		"60120":  {message: "the employee is disabled"},
		"60124":  {message: "The user is not in the corresponding group"},
		"400001": {message: "System error"},
		"400002": {message: "Parameter error"},

		"40000": {gateway: true, message: "access_token is blank"},
		"40014": {gateway: true, message: "illegal access_token"},
		"42001": {gateway: true, message: "access_token has timed out"},
		"60011": {gateway: true, message: "no permission to call this API"},
		"60020": {gateway: true, message: "the address is not on the allow list"},
		"90002": {gateway: true, message: "the API is called too often by everybody"},
		"90018": {gateway: true, message: "the app calls this API too often in a second"},
		"90020": {gateway: true, message: "the organisation's calls of this month are used up"},
	}
	for code, known := range codes {
		known.status = 200
		codes[code] = known
	}
	return codes
}

// newDialect is the dialect of the paths under /v1.0: a status, and a code in words.
// The keys of its errors are in lower case on the wire.
func newDialect() *dialect {
	return &dialect{
		contentType: jsonType, dingtalk: true,
		badToken:   "InvalidAuthentication",
		quotaSpent: "Forbidden.AccessDenied.ApiCountLimitForOrg",
		codes:      newCodes(),
		throttled: func(per time.Duration) string {
			if per >= time.Minute {
				return "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi"
			}
			return "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"
		},
		envelope: newEnvelope,
	}
}

func newEnvelope(requestID string, r refusal, _ knownCode) any {
	type denied struct {
		RequiredScopes []string `json:"requiredScopes"`
	}
	body := struct {
		Code      string  `json:"code"`
		RequestID string  `json:"requestid"`
		Message   string  `json:"message"`
		Denied    *denied `json:"accessdenieddetail,omitempty"`
	}{Code: r.code, RequestID: requestID, Message: r.message}
	if r.scopes != "" {
		body.Denied = &denied{RequiredScopes: []string{r.scopes}}
	}
	return body
}

func newCodes() map[string]knownCode {
	return map[string]knownCode{
		"": {status: 400, message: unlisted},

		codeInvalidParameter:              {status: 400, message: "invalid input parameter"},
		"permession.checkFailed":          {status: 400, message: "permission check failed"},
		"system.error":                    {status: 500, message: "please retry; if it always fails, open a ticket"},
		"incorrect.format":                {status: 400, message: "The DingTalk ID format is incorrect. Please re-enter it."},
		"incorrect.length":                {status: 400, message: "The DingTalk ID format is incorrect. Please re-enter it."},
		"incorrect.reserved":              {status: 400, message: "The DingTalk ID is already taken. Please re-enter it."},
		"have.been.set":                   {status: 400, message: "You have already set a DingTalk ID and cannot change it."},
		"emp.not.exist":                   {status: 400, message: "The employee does not exist."},
		"internalenterpriseaccount.limit": {status: 400, message: "Only Enterprise Accounts belonging to your organization can be processed."},
		"system.busy":                     {status: 500, message: "The system is busy. Please try again later."},

		"InvalidAuthentication":                 {status: 400, gateway: true, message: "the access_token is expired or does not exist, fetch it again"},
		"AuthenticationFailed.MissingParameter": {status: 400, gateway: true, message: "the header x-acs-dingtalk-access-token is missing"},
		"invalidClientIdOrSecret":               {status: 400, gateway: true, message: "invalid clientId or clientSecret"},
		codeIllegalBody:                         {status: 400, message: "illegal common parameter"},
		"InvalidAction.NotFound":                {status: 404, gateway: true, message: "no such API"},
		"UnsupportedHTTPMethod":                 {status: 405, gateway: true, message: "this API takes POST"},

		codeNoPermission: {status: 403, gateway: true, message: "the app lacks the permission for this API"},
		"Forbidden.AccessDenied.IpNotInWhiteList":        {status: 403, gateway: true, message: "the address is not on the app's allow list"},
		"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi": {status: 403, gateway: true, message: "the app calls this API too often in a second"},
		"Forbidden.AccessDenied.QpmLimitForAppkeyAndApi": {status: 403, gateway: true, message: "the app calls this API too often in a minute"},
		"Forbidden.AccessDenied.QpsLimitForApi":          {status: 403, gateway: true, message: "the API is called too often by everybody"},
		"Forbidden.AccessDenied.ApiCountLimitForOrg":     {status: 403, gateway: true, message: "the organisation's calls of this month are used up"},
	}
}

// classInDialect answers HTTP 200 with errno, where 1 is the success.
// docs.eeo.cn/api/zh-hans/group/modifyGroupMemberNickname
func classInDialect() *dialect {
	type info struct {
		Errno int    `json:"errno"`
		Error string `json:"error"`
	}
	type body struct {
		ErrorInfo info `json:"error_info"`
	}
	return &dialect{
		contentType: "application/json; charset=utf-8", numeric: true, codes: classInCodes(),
		throttled: func(time.Duration) string { return "101003001" },
		envelope: func(_ string, r refusal, _ knownCode) any {
			errno, err := strconv.Atoi(r.code)
			if err != nil {
				errno = 104
			}
			return body{info{errno, r.message}}
		},
	}
}

func classInCodes() map[string]knownCode {
	return map[string]knownCode{
		"":          {status: 200, message: unlisted},
		"1":         {status: 200, message: "程序正常执行"},
		"100":       {status: 200, message: "Incomplete or incorrect parameters"},
		"102":       {status: 200, gateway: true, message: "No permission (security verification failed)"},
		"104":       {status: 200, message: "Operation failed (unknown error)"},
		"144":       {status: 200, message: "There is no such course in your institution"},
		"147":       {status: 200, message: "No information about this course"},
		"149":       {status: 200, message: "This course has been deleted"},
		"153":       {status: 200, message: "This course has expired"},
		"228":       {status: 200, message: "The student is not in your institution"},
		"842":       {status: 200, message: "Failed to modify partial members' class nicknames"},
		"843":       {status: 200, message: "Failed to modify the nicknames of all members of the lesson"},
		"901":       {status: 200, gateway: true, message: "System maintenance"},
		"21323":     {status: 200, message: "Deleted students cannot be modified"},
		"101003001": {status: 200, gateway: true, message: "The request rate is too high"},
	}
}

// classInDone is the success of version 1.
func classInDone() any {
	return classInDialect().envelope("", refusal{code: "1", message: classInCodes()["1"].message}, knownCode{})
}

// isInteger reports whether a code can stand as a number on the wire.
func isInteger(code string) bool {
	_, err := strconv.Atoi(strings.TrimSpace(code))
	return err == nil
}
