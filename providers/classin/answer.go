package classin

import (
	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// judge reads the verdict from an answer: nil for the documented success, and
// again if a quick try is worth it.
func (c *Client) judge(call *apicall.Call, x exchange, answer apicall.Answer) (failure *providers.Error, again bool) {
	var code, message string
	if object, ok := apicall.ParseObject(answer.Body); ok {
		code, message = x.read(object)
	}
	if answer.Suspect() {
		code = apicall.CodePage
	}
	if code == codeDone {
		if answer.Status == 200 {
			return nil, false
		}
		code = "" // says that it went well, with a status that says it did not
	}
	row, _ := apicall.Find(x.rows, answer.Status, code)
	return call.Failure(answer, row, code, message, c.now())
}
