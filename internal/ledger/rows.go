package ledger

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

var runIDPattern = regexp.MustCompile(`^r[a-z2-7]{16}$`)

// NewRunID returns a random name for a run that is kept in Redis: 17 lower-case letters
// and digits, of which the first is r. Rows of such a run have details.
func NewRunID() string { return "r" + strings.ToLower(rand.Text()[:16]) }

// IsRunID reports whether a name of a run has the form of [NewRunID].
func IsRunID(name string) bool { return runIDPattern.MatchString(name) }

// RowDetail is what is known of a row that has ended, besides its result. Rows that
// needed no call (unchanged, superseded, settled before) and cancelled rows have none.
type RowDetail struct {
	At        time.Time // whole seconds: of Redis' clock; of the worker's for a dead letter
	RequestID string    // of the platform
	// Fields are those that were sent; nil of a dead letter.
	Fields map[string]FieldDetail
	// Class, Code and Message are those of the dead letter; "" of an applied row. The
	// message is personal, and cut to 160 bytes.
	Class, Code, Message string
}

// FieldDetail is what one field of a row was before. Its key is the name of the field, ""
// if the task has one field only.
type FieldDetail struct {
	// Old is the value that the row replaced, if Known: an applied value was recorded, and
	// no other request can have replaced it.
	Old   string
	Known bool
	// Substitute is the value that the platform took in place of the wanted one; "": it
	// took the wanted one.
	Substitute string
}

// The details of rows are in lists of detailsTogether rows, in the order in which the
// rows ended: the last entry of a row counts. A list takes 4 bytes an entry of Redis'
// memory, a hash twenty times as many as soon as one value has more than 64 bytes.
//
// An entry: its kind; the row in its list, a byte; the request id; Unix s, 4 bytes. Then
// for each field of an applied row: name, old value and substitute; of a dead one class,
// code and message. Each text has its length in front, of one byte, but for old value and
// substitute of two. The numbers have their high byte first.
const (
	detailsTogether = 256
	detailApplied   = 'A'
	detailDead      = 'D'
	// notKnown is the length of an old value that is not known.
	notKnown = 0xffff
	// Lengths of a request id that is a UUID of lower or upper case letters, of which the
	// 16 bytes are kept.
	lowerUUID = 254
	upperUUID = 255
	// longestRequestID, longestCode and longestMessage bound the texts, in bytes.
	longestRequestID = 200
	longestCode      = 64
	longestMessage   = 160
)

// details is the key of the details of the row. Without any it is that of target's
// records, because a script needs a key of the same tag.
func (r Row) details(target Target) string {
	if !IsRunID(r.Run) {
		return target.tasks()
	}
	return r.detailsBlock(target, r.bounded()/detailsTogether)
}

func (r Row) detailsBlock(target Target, n int) string {
	return target.shared("details:" + r.name() + ":" + strconv.Itoa(n))
}

// applied is how the detail of a row that was applied begins, up to its time; "" if the
// row has none.
func (r Row) applied(requestID string) string {
	if !IsRunID(r.Run) {
		return ""
	}
	return string(r.detail(detailApplied, requestID))
}

func (r Row) detail(kind byte, requestID string) []byte {
	head := []byte{kind, byte(r.bounded() % detailsTogether)} //nolint:gosec // a byte
	if id, err := uuid.Parse(requestID); err == nil {
		switch requestID {
		case id.String():
			return append(append(head, lowerUUID), id[:]...)
		case strings.ToUpper(id.String()):
			return append(append(head, upperUUID), id[:]...)
		}
	}
	return appendText(head, requestID, longestRequestID)
}

// dead is the detail of the row of a dead letter.
func (r Row) dead(d DeadLetter) string {
	if !IsRunID(r.Run) {
		return ""
	}
	detail := r.detail(detailDead, d.RequestID)
	detail = binary.BigEndian.AppendUint32(detail, uint32(d.Last.Unix())) //nolint:gosec // until 2106
	detail = appendText(detail, d.Class, longestCode)
	detail = appendText(detail, d.Code, longestCode)
	return string(appendText(detail, d.Message, longestMessage))
}

// appendText adds a text with its length in front, cut to most bytes, 253 or fewer.
func appendText(to []byte, text string, most int) []byte {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return append(append(to, byte(len(text))), text...) //nolint:gosec // a byte
}

// RunDetails reads the details of rows of a run at an organisation's API, by row. A row
// without details is missing. Rows of workers of an earlier version have none. They are
// kept as long as the results. One round trip.
func (l *Ledger) RunDetails(ctx context.Context, organisation, api string, run RunName, rows []int) (map[int]RowDetail, error) {
	target, of := Target{Organisation: organisation, API: api}, Row{Tenant: run.Tenant, Run: run.Run}
	wanted, blocks, err := l.readDetails(ctx, target, of, rows)
	if err != nil {
		return nil, err
	}
	details := make(map[int]RowDetail, len(rows))
	for n, block := range blocks {
		key := of.detailsBlock(target, n)
		if err := block.Err(); err != nil {
			if !damaging(err) {
				return nil, fmt.Errorf("ledger: read the details of run %s: %w", run.Run, err)
			}
			l.damage(key, "is not a list")
			continue
		}
		for _, entry := range block.Val() {
			row, detail, err := readDetail(entry)
			if err != nil {
				l.damage(key, "an entry cannot be read: %v", err)
				continue
			}
			if row += n * detailsTogether; wanted[row] {
				details[row] = detail
			}
		}
	}
	return details, nil
}

// readDetails reads the lists that hold the details of rows, by their number. Each may have
// an error about its type. wanted is the set of rows.
func (l *Ledger) readDetails(ctx context.Context, target Target, of Row, rows []int) (wanted map[int]bool, blocks map[int]*redis.StringSliceCmd, err error) {
	wanted, blocks = map[int]bool{}, map[int]*redis.StringSliceCmd{}
	_, err = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, row := range rows {
			wanted[row] = true
			if n := row / detailsTogether; blocks[n] == nil {
				blocks[n] = p.LRange(ctx, of.detailsBlock(target, n), 0, -1)
			}
		}
		return nil
	})
	if err != nil && !damaging(err) {
		return nil, nil, fmt.Errorf("ledger: read the details of run %s: %w", of.Run, err)
	}
	return wanted, blocks, nil
}

// readDetail reads an entry, and returns the row in its list.
func readDetail(entry string) (row int, detail RowDetail, err error) {
	r := detailReader{rest: entry}
	kind := r.number(1)
	row = r.number(1)
	detail.RequestID = r.requestID()
	detail.At = time.Unix(int64(r.number(4)), 0)
	switch kind {
	case detailApplied:
		detail.Fields = map[string]FieldDetail{}
		for r.rest != "" && !r.short {
			var f FieldDetail
			name := r.text(r.number(1))
			if n := r.number(2); n != notKnown {
				f.Old, f.Known = r.text(n), true
			}
			f.Substitute = r.text(r.number(2))
			detail.Fields[name] = f
		}
	case detailDead:
		detail.Class, detail.Code, detail.Message = r.text(r.number(1)), r.text(r.number(1)), r.text(r.number(1))
	default:
		return 0, RowDetail{}, fmt.Errorf("its kind is %d", kind)
	}
	if r.short {
		return 0, RowDetail{}, errors.New("it is too short")
	}
	return row, detail, nil
}

// detailReader reads the parts of an entry. short says that one was missing.
type detailReader struct {
	rest  string
	short bool
}

func (r *detailReader) text(n int) string {
	if n > len(r.rest) {
		r.short, n = true, len(r.rest)
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return text
}

func (r *detailReader) number(width int) int {
	n := 0
	for _, b := range []byte(r.text(width)) {
		n = n<<8 | int(b)
	}
	return n
}

func (r *detailReader) requestID() string {
	n := r.number(1)
	if n != lowerUUID && n != upperUUID {
		return r.text(n)
	}
	id, err := uuid.FromBytes([]byte(r.text(16)))
	if err != nil {
		r.short = true
		return ""
	}
	if n == upperUUID {
		return strings.ToUpper(id.String())
	}
	return id.String()
}

// RowResults reads the results of single rows, of any runs, in their order: 0 for a row of
// which nothing was stored. targets are those of the rows, for their APIs alone. One round
// trip.
func (l *Ledger) RowResults(ctx context.Context, targets []Target, rows []Row) ([]byte, error) {
	read := make([]*redis.StringCmd, len(rows))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, r := range rows {
			at := int64(r.bounded() % rowsTogether)
			read[i] = p.GetRange(ctx, r.key(targets[i]), at, at)
		}
		return nil
	})
	for i, r := range rows {
		if redis.HasErrorPrefix(read[i].Err(), "WRONGTYPE") {
			err = &DamagedError{Damage{Key: r.key(targets[i]), What: "is not a string"}}
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: read the results of rows: %w", err)
	}
	results := make([]byte, len(rows))
	for i := range rows {
		if text := read[i].Val(); text != "" {
			results[i] = text[0]
		}
	}
	return results, nil
}

// Cancel ends a task of a cancelled run before Begin, without a call and without a dead
// letter: its row gets the result RowCancelled, unless it has another that ended it. An
// older change that the task replaced is not sent in its place. One round trip.
//
// A task that was sent and not settled leaves an unknown outcome at its target, with the
// task's revision: [State.Unknown].
func (l *Ledger) Cancel(ctx context.Context, target Target, taskID string, row Row) error {
	_, err := l.close(ctx, target, taskID, row, string(RowCancelled), "", "", nil)
	return err
}

// CloseDead ends the task of a dead letter as [Ledger.Close] does, and keeps the details
// of its row. One round trip.
func (l *Ledger) CloseDead(ctx context.Context, dead DeadLetter) error {
	target := Target{Organisation: dead.Organisation, API: dead.Kind, Key: dead.Target}
	row := Row{Tenant: dead.Tenant, Run: dead.Run, Row: dead.Row}
	_, err := l.close(ctx, target, dead.ID, row, string(RowDead), row.dead(dead), "", nil)
	return err
}
