package ui

import "maps"

// moreMessages are the messages of the pages of dead letters, search, targets, schedules and
// the audit log.
func moreMessages() map[string]message {
	all := map[string]message{
		"more.tenant":          {"Tenant", "租户"},
		"more.kind":            {"Kind", "类型"},
		"more.organisation":    {"Organisation", "机构"},
		"more.all":             {"all", "全部"},
		"more.filter":          {"Filter", "筛选"},
		"more.of":              {"organisation %s", "机构 %s"},
		"more.target":          {"Target", "对象"},
		"more.run":             {"Run", "批次"},
		"more.task":            {"Task", "任务"},
		"more.time":            {"Time", "时间"},
		"more.request":         {"Request ID", "请求 ID"},
		"more.urgent":          {"urgent", "紧急"},
		"more.actions":         {"Actions", "操作"},
		"more.cancel":          {"Cancel", "取消"},
		"more.pages":           {"Further pages", "翻页"},
		"more.previous":        {"← Previous", "← 上一页"},
		"more.next":            {"Next →", "下一页 →"},
		"more.newest":          {"← Newest", "← 最新"},
		"more.older":           {"Older →", "更早 →"},
		"more.reason":          {"Reason, for other operators", "原因（供其他操作员查看）"},
		"more.reason.optional": {"Reason, for other operators (optional)", "原因（可选，供其他操作员查看）"},
		"more.reason.missing":  {"Give a reason: other operators need it.", "请填写原因：其他操作员需要了解。"},
		"more.reason.long":     {"The reason is too long: at most %s bytes.", "原因过长：最多 %s 字节。"},

		"reveal.masked":  {"Names and IDs of people are masked.", "姓名和人员 ID 已脱敏。"},
		"reveal.show":    {"Show them (recorded in the audit log)", "显示（将写入操作记录）"},
		"reveal.shown":   {"Names and IDs of people are shown on this page. The audit log records it.", "本页显示姓名和人员 ID，已写入操作记录。"},
		"reveal.refused": {"Your user may not see names and IDs of people.", "您的用户无权查看姓名和人员 ID。"},

		"kind.nickname": {"group nickname", "群昵称"},
		"kind.course":   {"course", "课程"},
		"kind.group":    {"chat", "群聊"},
		"kind.id":       {"DingTalk ID", "钉钉号"},
		"kind.student":  {"student", "学生"},

		"field.nickname":                      {"group nickname", "群昵称"},
		"field.names":                         {"nicknames of the course", "课程成员昵称"},
		"field.name":                          {"name", "名称"},
		"field.owner":                         {"owner of the chat", "群主"},
		"field.icon":                          {"icon of the chat", "群头像"},
		"field.members":                       {"members of the chat", "群成员"},
		"field.id":                            {"DingTalk ID", "钉钉号"},
		"field.options.mention_all_authority": {"only the owner may @all", "仅群主可 @所有人"},
		"field.options.show_history_type":     {"new members see the history", "新成员可查看历史消息"},
		"field.options.validation_type":       {"joining needs an approval", "入群需验证"},
		"field.options.searchable":            {"the chat can be found", "群可被搜索"},
		"field.options.chat_banned_type":      {"members cannot write", "全员禁言"},
		"field.options.management_type":       {"only the owner manages", "仅群主可管理"},

		"asynq.pending":     {"waiting", "排队中"},
		"asynq.active":      {"running", "执行中"},
		"asynq.scheduled":   {"waits for its time", "等待到时执行"},
		"asynq.retry":       {"waits for another attempt", "等待重试"},
		"asynq.archived":    {"archived", "已归档"},
		"asynq.completed":   {"completed", "已完成"},
		"asynq.aggregating": {"waiting", "排队中"},
		"asynq.none":        {"no longer in the queue", "已不在队列中"},
		"asynq.vanished":    {"missing in the queue, though it has not ended", "尚未结束，但队列中已没有"},
		"asynq.dead":        {"a dead letter", "死信"},
		"asynq.unread":      {"not read", "未读取"},
	}
	for _, some := range []map[string]message{deadMessages(), searchMessages(), targetMessages(), scheduleMessages(), auditMessages()} {
		maps.Copy(all, some)
	}
	return all
}

// searchMessages are those of the page of a search.
func searchMessages() map[string]message {
	return map[string]message{
		"search.title":         {"Search", "搜索"},
		"search.word":          {"Part of an ID or of an applied value", "ID 或已生效值的一部分"},
		"search.go":            {"Search", "搜索"},
		"search.about":         {"Finds members, chats, employees, courses and students by a part of their ID or of the value that was applied last, in any case.", "按 ID 或最近生效值的一部分查找群成员、群聊、员工、课程和学生，不区分大小写。"},
		"search.found":         {"Found targets, in no order", "找到的对象（无特定顺序）"},
		"search.value":         {"Applied value", "已生效的值"},
		"search.state":         {"State", "状态"},
		"search.confirmed":     {"Confirmed", "最近确认"},
		"search.never":         {"never", "从未"},
		"search.state.applied": {"up to date", "已生效"},
		"search.state.waiting": {"waiting", "等待中"},
		"search.state.failed":  {"failed", "失败"},
		"search.dead":          {"dead letter", "死信"},
		"search.state.unknown": {"unknown outcome", "结果未知"},
		"search.state.damaged": {"damaged", "记录损坏"},
		"search.none":          {"Nothing was found.", "没有找到。"},
		"search.none.todo":     {"Check the spelling. rollcall knows only what was enqueued in the last 400 days. Targets of an earlier version are found after: rollcall find --index", "请检查拼写。rollcall 只保留最近 400 天内提交过的对象；旧版本的对象需先执行 rollcall find --index。"},
		"search.bounded":       {"About %s {target was|targets were} read for this page; there are more.", "本页约读取了 %s 个对象，还有更多未读取。"},
		"search.further":       {"Search further →", "继续搜索 →"},
		"search.first":         {"← First page", "← 第一页"},
		"search.long":          {"This cannot be searched for: use at most %s bytes.", "无法搜索：最多 %s 字节。"},
	}
}

// auditMessages are those of the page of the audit log.
func auditMessages() map[string]message {
	return map[string]message{
		"audit.title":  {"Audit log", "操作记录"},
		"audit.event":  {"Event", "事件"},
		"audit.by":     {"By", "操作者"},
		"audit.scope":  {"Concerns", "涉及"},
		"audit.reason": {"Details", "详情"},
		"audit.about":  {"Part of what it concerns, or of the details", "涉及对象或详情的一部分"},
		"audit.none":   {"No such events.", "没有这样的事件。"},
		"audit.kept":   {"About the newest 10,000 events are kept.", "约保留最新的 10,000 条事件。"},

		"subject.run":      {"runs", "批次"},
		"subject.hold":     {"holds", "暂停"},
		"subject.dead":     {"dead letters", "死信"},
		"subject.schedule": {"schedules", "计划任务"},
		"subject.night":    {"nights", "夜间同步"},
		"subject.id":       {"DingTalk IDs", "钉钉号"},
		"subject.key":      {"repairs", "修复"},
		"subject.names":    {"names shown", "查看姓名"},
		"subject.data":     {"deleted records", "删除记录"},
		"subject.api":      {"HTTP API", "HTTP API"},
		"subject.web":      {"queues in the browser", "网页队列操作"},
		"subject.webhook":  {"webhooks", "Webhook"},

		"event.run.uploaded":     {"run uploaded", "上传批次"},
		"event.run.planned":      {"run compared again", "重新比对批次"},
		"event.run.excluded":     {"rows left out", "排除部分行"},
		"event.run.applied":      {"run applied", "执行批次"},
		"event.run.held":         {"run submitted", "提交审批"},
		"event.run.approved":     {"run approved", "批准批次"},
		"event.run.rejected":     {"run rejected", "驳回批次"},
		"event.run.paused":       {"run paused", "暂停批次"},
		"event.run.resumed":      {"run resumed", "恢复批次"},
		"event.run.cancelled":    {"run cancelled", "取消批次"},
		"event.run.corrected":    {"rows corrected", "更正部分行"},
		"event.run.undone":       {"run taken back", "撤销批次"},
		"event.run.downloaded":   {"results downloaded", "下载结果"},
		"event.run.names":        {"names of a run shown", "查看批次中的姓名"},
		"event.hold.entered":     {"hold began", "开始暂停"},
		"event.hold.changed":     {"hold changed", "暂停已更改"},
		"event.hold.left":        {"hold ended", "暂停结束"},
		"event.hold.paused":      {"paused after refusals", "因被拒绝而暂缓"},
		"event.dead.replayed":    {"dead letters replayed", "重放死信"},
		"event.dead.discarded":   {"dead letters discarded", "丢弃死信"},
		"event.dead.closed":      {"dead letters closed automatically", "死信自动关闭"},
		"event.schedule.run":     {"schedule run now", "立即执行计划任务"},
		"event.schedule.paused":  {"schedule paused", "暂停计划任务"},
		"event.schedule.resumed": {"schedule resumed", "恢复计划任务"},
		"event.night.report":     {"report of a night", "夜间同步报告"},
		"event.id.confirmed":     {"DingTalk ID confirmed", "确认钉钉号已修改"},
		"event.id.rejected":      {"DingTalk ID rejected", "确认钉钉号未修改"},
		"event.key.discarded":    {"damaged key repaired", "修复损坏的键"},
		"event.names.revealed":   {"names shown", "查看姓名"},
		"event.data.forgotten":   {"records deleted", "删除记录"},
		"event.api.change":       {"change through the HTTP API", "通过 HTTP API 更改"},
		"event.webhook.given_up": {"webhook not delivered", "Webhook 投递失败"},
	}
}
