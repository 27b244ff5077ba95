package outcome

// Chinese returns an advice in Chinese: of a class, or of a platform's code. An advice
// that has no translation stays English.
func Chinese(advice string) string {
	if zh, ok := chinese[advice]; ok {
		return zh
	}
	return advice
}

// chinese translates every advice. A test compares it with the tables of the platforms and
// of the classes.
var chinese = map[string]string{ //nolint:gosec // advice about secrets, and none
	// Classes.
	"the platform or the network was down for hours: see that it is back, then replay them":                                                                                      "平台或网络中断了数小时：确认已恢复后重放",
	"some members were changed and others not: look at the course, then replay what matters":                                                                                     "部分成员已修改，部分没有：查看课程后，重放仍需要的任务",
	"no table knows the answer: report it with its code; replay one, and the others if it goes through":                                                                          "未收录的答复：请连同错误码一起反馈；先重放一条，成功后再重放其余",
	"a defect of rollcall: report it with the stack from the log; replay them with a version that fixes it":                                                                      "rollcall 的缺陷：请附上日志中的堆栈反馈；升级到修复版本后重放",
	"the task is wrong: correct it with replay --set, or correct the roster and discard the dead letter":                                                                         "任务本身有误：用 replay --set 更正，或更正花名册并丢弃该死信",
	"an ID change that may have been applied: look the person up, then run rollcall ids confirm or rollcall ids reject":                                                          "钉钉号可能已修改：先查看本人的钉钉号，再执行 rollcall ids confirm 或 rollcall ids reject",
	"no task can be read out of it: find out who wrote it; replay it with a task from --task, or discard it":                                                                     "无法解析出任务：查明由谁写入；用 --task 给出任务后重放，或丢弃",
	"workers died with it, three in a row: find out why from their logs; replay one after another, the one that kills again is to blame":                                         "连续三个 worker 在执行它时崩溃：从日志查明原因；逐条重放，再次导致崩溃的就是问题所在",
	"asynq gave up by itself, or somebody archived them: see why; replay what still matters":                                                                                     "asynq 自行放弃，或有人手动归档：查明原因，重放仍需要的任务",
	"deleted in the web UI, or lost by a failover or a restored Redis: replay what still matters, discard the rest":                                                              "在网页界面中被删除，或因主备切换、恢复 Redis 而丢失：重放仍需要的，其余丢弃",
	"written by a newer version: use that one":                                                                                                                                   "由更新的版本写入：请使用该版本",
	"find out why; replay the task if it still matters":                                                                                                                          "查明原因；如仍需要则重放",
	"replay it if it still matters, or discard it":                                                                                                                               "如仍需要则重放，否则丢弃",
	"find out from the workers' logs and their service manager why they died; where several tasks died together, replay one after another: the one that kills again is to blame": "从 worker 日志和服务管理器查明崩溃原因；若多个任务同时受影响，请逐条重放，再次导致崩溃的就是问题所在",

	// Both platforms.
	"look the code up in the vendor's list and report it, so that it is added to the table": "在平台的错误码列表中查询该码并反馈，以便补充到表中",
	"set the base URL to the platform's own host":                                           "将 base URL 设为平台自己的域名",
	"check the base URL, and HTTPS_PROXY and NO_PROXY in the worker's environment":          "检查 base URL，以及 worker 环境变量 HTTPS_PROXY 和 NO_PROXY",
	"this is a fault of rollcall: report it":                                                "这是 rollcall 的缺陷：请反馈",
	"this is a fault of rollcall: report it with the request id":                            "这是 rollcall 的缺陷：请连同请求 ID 一起反馈",

	// DingTalk.
	"look into the group: the message may be there; it is not sent again":                                          "查看群聊：消息可能已经发出，不会再次发送",
	"find out what else uses this robot":                                                                           "查明还有谁在使用这个机器人",
	"add a robot to the group, and configure its webhook and its secret":                                           "在群里添加机器人，并重新配置它的 webhook 和密钥",
	"wait for the next month, or buy more messages of webhooks":                                                    "等待下个月，或购买更多 Webhook 消息额度",
	"let the security settings of the robot be sign alone, and check its secret and the clock of the worker":       "机器人的安全设置只选“加签”，并检查密钥和 worker 的时钟",
	"check the id of the department":                                                                               "检查部门 ID",
	"add the department to the contact scope of the app in the developer console, or leave it out of what is read": "在开发者后台把该部门加入应用的通讯录权限范围，或不读取该部门",
	"grant the app the permissions qyapi_get_department_list, qyapi_get_department_member and qyapi_get_member":    "为应用开通权限 qyapi_get_department_list、qyapi_get_department_member 和 qyapi_get_member",
	"nothing at first: a call for a token finds out whether the address is banned; if it is not, look for a proxy, a firewall or a login page between this machine and the host": "暂时无需处理：系统会用获取 token 的请求判断 IP 是否被封；若没有被封，请检查本机与平台之间的代理、防火墙或登录页",
	"nothing is sent from this address for five minutes; lower the configured rates if it comes back":                                                                            "该 IP 五分钟内不再发送请求；若反复出现，请调低配置的速率",
	"check the base URLs (their region and any path); if they are right, this is a fault of rollcall: report it":                                                                 "检查 base URL（地域和路径）；若无误，则是 rollcall 的缺陷，请反馈",
	"if it repeats at a low rate, look for a missing permission in the developer console":                                                                                        "若在低速率下反复出现，请到开发者后台检查是否缺少权限",
	"look whether the name changed; the answer contradicts itself":                                                                                                               "答复自相矛盾：请查看名称是否已修改",
	"not expected for an internal app: check the app's type":                                                                                                                     "企业内部应用不应出现：检查应用类型",
	"avoid the top of the hour":                 "避开整点",
	"spread the tenants over several addresses": "把各租户分散到多个出口 IP",
	"a fresh token was refused as well: check that both base URLs belong to the app's region, that the app key is this organisation's, and that the app is enabled": "新获取的 token 也被拒绝：检查两个 base URL 是否与应用同地域、AppKey 是否属于本组织、应用是否已启用",
	"check the app key and the app secret in the developer console":                           "在开发者后台核对 AppKey 和 AppSecret",
	"check that the app key belongs to this organisation":                                     "确认 AppKey 属于本组织",
	"if it comes back often, lower the configured rate":                                       "若经常出现，请调低配置的速率",
	"correct the user id in the roster":                                                       "更正花名册中的用户 ID",
	"check the chat id: only ids from the server-side call that creates a group are accepted": "检查群 ID：只接受服务端接口创建群时返回的 ID",
	"choose another name": "换一个名称",
	"open the app in the developer console and publish or enable it":                                                "在开发者后台打开该应用并发布或启用",
	"ask the platform's support for the organisation's state":                                                       "向平台客服咨询该组织的状态",
	"grant the app the permission qyapi_chat_manage, and check that the app key is this organisation's":             "为应用开通权限 qyapi_chat_manage，并确认 AppKey 属于本组织",
	"grant the app the permission qyapi_chat_manage":                                                                "为应用开通权限 qyapi_chat_manage",
	"add this machine's outgoing address to the app's list in the developer console":                                "在开发者后台把本机的出口 IP 加入应用的白名单",
	"enable the API in the developer console":                                                                       "在开发者后台启用该接口",
	"this user is not in the chat: add them to the chat or remove the row":                                          "该用户不在群聊中：先将其加入群聊，或删除这一行",
	"widen the app's visible range in the developer console; if most of a run ends so, the range is the cause":      "在开发者后台扩大应用的可见范围；若大部分行都如此，原因就是可见范围",
	"change the group's owner or its management setting":                                                            "更换群主，或修改群管理设置",
	"let the app's owner join the group, or take the group out of the roster":                                       "让应用负责人加入该群，或把该群从花名册中去掉",
	"check the ids and the name's length":                                                                           "检查各 ID 和名称长度",
	"correct the group's row":                                                                                       "更正该群所在的行",
	"widen the app's visible range to the group's owner, or change the owner":                                       "把应用的可见范围扩大到群主，或更换群主",
	"if it stays, open a ticket with the platform and give the request id":                                          "若持续出现，请向平台提交工单并附上请求 ID",
	"an ID has 6 to 20 letters and digits, begins with a letter and contains no prohibited word":                    "钉钉号须为 6 到 20 位字母和数字，以字母开头，且不含违禁词",
	"choose another ID; if its owner changes it within 7 days, this is sent again automatically":                    "换一个钉钉号；若其持有人在 7 天内改号，会自动重新发送",
	"look at the person's ID in the client; only time unlocks it":                                                   "在客户端查看本人的钉钉号；只能等到一年期满",
	"only enterprise accounts that the organisation owns can be changed; if all fail so, the feature is not bought": "只能修改本组织的企业账号；若全部如此失败，说明未购买该功能",
	"look at the person's ID in the client before anything else is sent; only the very same ID may be sent again":   "先在客户端查看本人的钉钉号，再做其他操作；只允许重新发送同一个钉钉号",
	"buy more calls (that takes effect at once), or wait for the first of the month":                                "购买更多调用量（立即生效），或等到下月一日",
	"grant the app the permission that the call's page names, in the developer console":                             "在开发者后台为应用开通接口文档所列的权限",
	"certify the organisation at a higher level":                                                                    "提升组织的认证等级",
	"ask the platform to open the API":                                                                              "请平台开通该接口",
	"change the policy in the organisation's console":                                                               "在组织的管理后台修改安全策略",

	// ClassIn.
	"check the course id; if every course ends so, this is a fault of rollcall: report it":                    "检查课程 ID；若所有课程都如此，则是 rollcall 的缺陷，请反馈",
	"correct the course id in the roster":                                                                     "更正花名册中的课程 ID",
	"take the course out of the roster":                                                                       "把该课程从花名册中去掉",
	"give the task the course's students (student_uids): each is then renamed, and those that fail are named": "在任务中写明课程的学生（student_uids）：系统会逐个改名，并指出失败的学生",
	"take the deleted student out of the course":                                                              "把已删除的学生移出课程",
	"check the student's UID and name; if every student ends so, this is a fault of rollcall: report it":      "检查学生 UID 和姓名；若所有学生都如此，则是 rollcall 的缺陷，请反馈",
	"the student cannot be reached from this institution (a transfer student, or a wrong UID): add the student to the institution in its console, or remove the row": "本机构无法操作该学生（插班生，或 UID 有误）：在机构后台添加该学生，或删除这一行",
	"check the SID, the secret, this machine's clock, and whether the institution may use APIs of version 2":                                                         "检查 SID、密钥、本机时钟，以及机构是否可以使用 2.0 版接口",
	"check the student's UID; if every student ends so, this is a fault of rollcall: report it":                                                                      "检查学生 UID；若所有学生都如此，则是 rollcall 的缺陷，请反馈",
	"if it stays, ask the platform's support": "若持续出现，请联系平台客服",
	"check the SID":                "检查 SID",
	"check the SID and the secret": "检查 SID 和密钥",
	"check the SID, the secret, this machine's clock, and whether the school's contract has run out": "检查 SID、密钥、本机时钟，以及学校的合同是否到期",
	"wait; maintenance is announced and lasts for some hours of the early morning in Beijing":        "请等待；维护会提前公告，一般在北京时间凌晨，持续数小时",
	"wait":                      "请等待",
	"lower the configured rate": "调低配置的速率",
	"look for two producers that enqueue the same change": "检查是否有两个生产者提交了同一变更",
	"check the base URL": "检查 base URL",
	"if it repeats, ask the platform whether this machine's address is blocked":                                                                       "若反复出现，请询问平台本机 IP 是否被封",
	"if it stays, look for a proxy, a firewall or a login page between this machine and the host, and ask the platform whether it blocks the address": "若持续出现，请检查本机与平台之间的代理、防火墙或登录页，并询问平台是否封禁了该 IP",
}
