package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// APIRobot writes a message to a group by its robot.
const APIRobot = "robot/send"

const (
	// robotCalls is how many messages a robot may send in a minute, and robotPenalty how
	// long it is refused if it sends more.
	robotCalls   = 20
	robotPenalty = 10 * time.Minute
	// signedFor is how far the time of a signature may be from that of the platform.
	signedFor = time.Hour
	// monthlyMessages is what an organisation of the standard edition may send.
	monthlyMessages = 3000
)

// robot is a robot of a group with what the platform has counted.
type robot struct {
	Robot

	org    *organisation
	window slidingWindow
	until  time.Time // it is refused
}

// robotOrder is the body of a message.
type robotOrder struct {
	Type     string `json:"msgtype"`
	Markdown struct {
		Title string `json:"title"`
		Text  string `json:"text"`
	} `json:"markdown"`
}

// robotEndpoint is the webhook of custom robots. Its messages count against a quota of
// their own.
// open.dingtalk.com/document/robots/custom-robot-access
func robotEndpoint() *endpoint {
	return &endpoint{
		api: APIRobot, success: "0", wrongMethod: "43002", path: "/" + APIRobot, dialect: robotDialect(),
		read: readMessage, identify: identifyRobot, authenticate: authenticateRobot, run: runRobot,
	}
}

func robotDialect() *dialect {
	d := legacyDialect()
	d.throttled = func(time.Duration) string { return "130101" }
	for code, message := range map[string]string{
		"130101": "send too fast, exceed 20 times per minute", "300005": "token is not exist", "310000": "sign not match", "90030": "webhook over limit",
		"400105": "unsupported msgtype",
	} {
		d.codes[code] = knownCode{status: 200, message: message}
	}
	return d
}

func readMessage(x *exchange) *refusal {
	var order robotOrder
	if err := json.Unmarshal(x.body, &order); err != nil {
		return &refusal{code: "47001"}
	}
	x.order = order
	switch {
	case order.Type != "markdown":
		return &refusal{code: "400105"}
	case order.Markdown.Title == "" || order.Markdown.Text == "":
		return &refusal{code: "40035"}
	}
	return nil
}

func identifyRobot(s *Sandbox, x *exchange) {
	if r := s.platform.robots[x.query.Get("access_token")]; r != nil {
		x.robot, x.org, x.tenant, x.target = r, r.org, r.Name, Target{Robot: r.Name}
	}
}

func authenticateRobot(s *Sandbox, x *exchange) *refusal {
	switch {
	case x.query.Get("access_token") == "":
		return &refusal{code: "40035"}
	case x.robot == nil:
		return &refusal{code: "300005"}
	case x.robot.Secret == "":
		return nil
	}
	at := x.query.Get("timestamp")
	ms, err := strconv.ParseInt(at, 10, 64)
	mac := hmac.New(sha256.New, []byte(x.robot.Secret))
	mac.Write([]byte(at + "\n" + x.robot.Secret))
	sign := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if err != nil || s.clock().Sub(time.UnixMilli(ms)).Abs() > signedFor || !hmac.Equal([]byte(sign), []byte(x.query.Get("sign"))) {
		return &refusal{code: "310000"}
	}
	return nil
}

func runRobot(s *Sandbox, x *exchange) outcome {
	now := s.clock()
	switch r := x.robot; {
	case now.Before(r.until):
		return refused("130101")
	case !r.window.fits(now):
		r.until = now.Add(robotPenalty)
		return refused("130101")
	}
	x.org.turnMonth(now)
	if quota := x.org.messageQuota; quota >= 0 && x.org.messages >= quota {
		return refused("90030")
	}
	x.robot.window.count(now)
	x.org.messages++
	order, _ := x.order.(robotOrder)
	return outcome{
		changes: []Change{{Field: "message", New: order.Markdown.Title + "\n" + order.Markdown.Text}},
		body: struct {
			ErrCode int    `json:"errcode"`
			ErrMsg  string `json:"errmsg"`
		}{0, "ok"},
	}
}
