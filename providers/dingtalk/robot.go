package dingtalk

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// RobotConfig is a custom robot of a group, as the group's settings show it.
type RobotConfig struct {
	Name string // in our configuration, for errors
	// URL is its webhook, https://oapi.dingtalk.com/robot/send?access_token=…. Who has it
	// can write to the group, so it is in no error.
	URL secret.Text
	// Secret signs each message: the robot's security setting "sign".
	Secret secret.Text
	// Timeout bounds one HTTP exchange. 0: [DefaultTimeout].
	Timeout time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Robot writes messages to one group. It is safe for concurrent use.
type Robot struct {
	name   string
	token  string
	secret secret.Text
	wire   *apicall.Wire
	api    api
	now    func() time.Time
}

// NewRobot checks cfg and returns a Robot. It sends nothing. Call Close when done.
func NewRobot(cfg RobotConfig) (*Robot, error) {
	base, host, token, err := robotURL(cfg.URL.Reveal())
	if err != nil {
		return nil, err
	}
	if text := cfg.Secret.Reveal(); text == "" || strings.ContainsAny(text, " \t\r\n") {
		return nil, errors.New("secret: it is missing, or has a space or a line break: copy it from the robot's security settings (sign)")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	send := newAPI(apiRobot, host, base, robotDone)
	send.once = true
	return &Robot{
		name: cfg.Name, token: token, secret: cfg.Secret, wire: apicall.NewWire(cmp.Or(cfg.Timeout, DefaultTimeout)), now: cfg.Now,
		api: send,
	}, nil
}

// robotURL reads a webhook without quoting it: its token is a credential.
func robotURL(text string) (base, host, token string, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", "", "", errors.New("webhook: it is no URL; copy it from the robot's settings")
	}
	query := u.Query()
	token = query.Get("access_token")
	query.Del("access_token")
	if token == "" || len(query) > 0 {
		return "", "", "", errors.New("webhook: its query must be access_token=… alone; copy it from the robot's settings")
	}
	u.RawQuery = ""
	base, host, err = apicall.Base(u.String())
	if err != nil {
		return "", "", "", fmt.Errorf("webhook: %w", err)
	}
	switch {
	case u.Path != robotPath:
		return "", "", "", fmt.Errorf("webhook: its path must be %s; copy it from the robot's settings", robotPath)
	case region(host) == "" && u.Scheme == "https" || region(host) != "" && !strings.HasPrefix(host, "oapi."):
		return "", "", "", fmt.Errorf("webhook: a robot is at https://oapi.dingtalk.com or https://oapi.dingtalk.io, not at %s", host)
	}
	return base, host, token, nil
}

// Close closes idle connections.
func (r *Robot) Close() { r.wire.Close() }

// message is a message in Markdown. The title is what notifications show.
type message struct {
	Type     string `json:"msgtype"`
	Markdown struct {
		Title string `json:"title"`
		Text  string `json:"text"`
	} `json:"markdown"`
}

// Send writes one message to the group. It is sent once: after a fault that leaves the
// outcome unknown the error is ambiguous, and the message may be in the group. The gate
// is passed before the request. The error is a [*providers.Error].
// See https://open.dingtalk.com/document/robots/custom-robot-access.
func (r *Robot) Send(ctx context.Context, gate providers.Gate, title, text string) (providers.Receipt, error) {
	call := r.api.call(r.name, gate)
	if gate == nil {
		return providers.Receipt{}, call.NoGate()
	}
	m := message{Type: "markdown"}
	m.Markdown.Title, m.Markdown.Text = title, text
	body, err := json.Marshal(m)
	if err != nil {
		return providers.Receipt{}, call.Refuse("a text is not valid UTF-8", "this is a fault of rollcall: report it")
	}
	call.Clean = apicall.NewCleaner([]string{r.token, r.secret.Reveal()}, nil)
	return call.Do(ctx, 0, func(ctx context.Context) (string, *providers.Error, bool) {
		answer, failure, again := call.Send(ctx, r.wire, func() apicall.Request {
			return apicall.Request{URL: r.api.url + "?" + r.query(), ContentType: jsonType, Body: body}
		})
		if failure != nil {
			return "", failure, again
		}
		return judge(r.now(), call, r.api, answer)
	})
}

// query is the token and a signature of now, which the platform accepts for an hour.
func (r *Robot) query() string {
	at, key := strconv.FormatInt(r.now().UnixMilli(), 10), r.secret.Reveal()
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte(at + "\n" + key)) // a hash never fails
	return url.Values{
		"access_token": {r.token}, "timestamp": {at}, "sign": {base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}.Encode()
}

func robotDone(o apicall.Object) bool { return o.Text("errcode") == "0" }

const (
	apiRobot  = "robot/send"
	robotPath = "/" + apiRobot
	// robotWait is how long a robot is refused that has sent more than 20 messages in a
	// minute.
	robotWait = 10 * time.Minute
)

// robotRows are the answers to a robot's message.
func robotRows() []providers.Code {
	fast := providers.Code{
		Kind: providers.Throttled, Scope: providers.ScopeTenant, Wait: robotWait, Unmetered: true, Meaning: "the robot has sent more than 20 messages in a minute",
		Fix: "find out what else uses this robot",
	}
	unknown := providers.Code{
		Kind: providers.Misconfigured, Scope: providers.ScopeTenant, Meaning: "the robot does not exist, is stopped, or its group was dissolved",
		Fix: "add a robot to the group, and configure its webhook and its secret",
	}
	unauthorized := unknown // there is no access token that could be renewed
	unauthorized.HTTP, unauthorized.Meaning = "401", "the robot's token is not accepted"
	return slices.Concat(
		[]providers.Code{
			{
				Code: "310000", Kind: providers.Misconfigured, Scope: providers.ScopeTenant,
				Meaning: "the robot's security settings refuse the message: signature, keyword or address",
				Fix:     "let the security settings of the robot be sign alone, and check its secret and the clock of the worker",
			},
			{
				Code: "90030", Kind: providers.QuotaSpent, Scope: providers.ScopeOrganisation, Unmetered: true,
				Meaning: "the organisation has used up the messages of this month", Fix: "wait for the next month, or buy more messages of webhooks",
			},
		},
		apicall.Alike(fast, "130101", "410100"),
		apicall.Alike(unknown, "300001", "300005", "400013", "400101", "400102", "400106"),
		apicall.Alike(unauthorized, "", "*"),
	)
}

// robotElse are the last rows of a message: an answer with a refusal code is a refusal,
// any other an unknown outcome.
func robotElse() []providers.Code {
	return slices.Concat(
		[]providers.Code{{HTTP: "4xx", Code: "*", Kind: providers.Rejected, Meaning: "a refusal that no table lists", Fix: fixUnlisted}},
		apicall.Alike(providers.Code{
			Kind: providers.Ambiguous, Meaning: "an answer that no table lists", Fix: "look into the group: the message may be there; it is not sent again",
		}, "", "*"),
	)
}
