package classin

import (
	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// judge reads the verdict from an answer: nil for the documented success, and
// again if a quick try is worth it.
func (c *Client) judge(call *apicall.Call, x exchange, answer apicall.Answer) (failure *providers.Error, again bool) {
	var code, message string
	object, ok := apicall.ParseObject(answer.Body)
	if ok {
		code, message = x.read(object)
	}
	page := !ok && answer.Page()
	suspect := page && !answer.StatusSpeaks()
	if suspect {
		code = codePage
	}
	if answer.Status == 200 && code == codeDone {
		return nil, false
	}
	if code == codeDone {
		code = "" // says that it went well, with a status that says it did not
	}
	row, _ := apicall.Find(x.rows, answer.Status, code)
	e := call.Error(row.Kind, row.Scope)
	e.Code, e.HTTPStatus, e.Tries = call.Clean.Word(code), answer.Status, row.Tries
	e.Period, e.Fix, e.Suspect = row.Period, row.Fix, suspect
	e.Message = call.Clean.Message(message)
	if e.Message == "" {
		e.Message = row.Meaning
	}
	if page && !suspect {
		e.Message += " (an HTML page, not the platform's own answer)"
	}
	if answer.Note != "" {
		e.Message = call.Clean.Message(answer.Note)
	}
	said := apicall.RetryAfter(answer.Header, c.now())
	e.RetryAfter = row.Wait
	if said > 0 {
		e.RetryAfter = said
	}
	e.MaybeApplied = row.Kind.Unclear() || answer.Status >= 500
	e.Unmetered = row.Unmetered && !e.MaybeApplied
	return e, row.Quick && said == 0
}
