package night

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/redis/go-redis/v9"

	"rollcall/tasks"
)

// present are the members that a reading names: 16 bytes each, and their names compressed,
// some 6 bytes each.
type present struct {
	seed   maphash.Seed
	all    []place        // sorted, each once, after end
	chats  map[string]int // number of each, by tenant and chat
	names  []string       // of the chats, by number
	line   []byte         // of the last member
	packed bytes.Buffer   // a line for each, some twice
	writer *flate.Writer
}

// place is a member of a chat.
type place struct {
	sum  uint64 // of the member
	chat uint32 // number
}

func newPresent() *present {
	p := &present{seed: maphash.MakeSeed(), chats: map[string]int{}}
	p.writer, _ = flate.NewWriter(&p.packed, flate.BestSpeed) // the level is valid
	return p
}

// add adds the member of a row. The result is valid until the next.
func (p *present) add(t tasks.NicknameSync) (member []byte, err error) {
	p.line = append(append(append(append(p.line[:0], t.Tenant...), '\t'), t.ChatID...), '\t')
	chat := len(p.line) - 1
	p.line = append(append(p.line, t.UserID...), '\n')
	number, known := p.chats[string(p.line[:chat])]
	if !known {
		number = len(p.names)
		p.names = append(p.names, string(p.line[:chat]))
		p.chats[p.names[number]] = number
	}
	member = p.line[:len(p.line)-1]
	p.all = append(p.all, place{sum: maphash.Bytes(p.seed, member), chat: uint32(number)}) //nolint:gosec // at most run.MaxRows
	if _, err := p.writer.Write(p.line); err != nil {
		return nil, fmt.Errorf("keep the members of the reading: %w", err)
	}
	return member, nil
}

// end ends the list, and returns the number of members of each chat.
func (p *present) end() (chats map[string]int, err error) {
	if err := p.writer.Close(); err != nil {
		return nil, fmt.Errorf("keep the members of the reading: %w", err)
	}
	p.writer = nil
	slices.SortFunc(p.all, func(a, b place) int { return cmp.Compare(a.sum, b.sum) })
	p.all = slices.CompactFunc(p.all, func(a, b place) bool { return a.sum == b.sum })
	counts := make([]int, len(p.names))
	for _, m := range p.all {
		counts[m.chat]++
	}
	chats = make(map[string]int, len(counts))
	for number, n := range counts {
		chats[p.names[number]] = n
	}
	return chats, nil
}

// find returns the index of a member.
func (p *present) find(member []byte) (int, bool) {
	return slices.BinarySearchFunc(p.all, maphash.Bytes(p.seed, member), func(m place, sum uint64) int { return cmp.Compare(m.sum, sum) })
}

// has reports whether a member is in the reading.
func (p *present) has(member []byte) bool {
	_, is := p.find(member)
	return is
}

// each calls do with every member, once. The slice is valid until the next.
func (p *present) each(do func(member []byte) error) error {
	given := make([]bool, len(p.all))
	return eachMember(p.packed.Bytes(), func(member []byte) error {
		i, is := p.find(member)
		if !is || given[i] {
			return nil
		}
		given[i] = true
		return do(member)
	})
}

// eachMember calls do with every line of a compressed list.
func eachMember(packed []byte, do func(member []byte) error) error {
	lines := bufio.NewScanner(flate.NewReader(bytes.NewReader(packed)))
	for lines.Scan() {
		if err := do(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}

// seen calls do with the members of the last accepted complete reading.
func (s *Service) seen(ctx context.Context, schedule string, do func(member []byte)) error {
	packed, err := s.rdb.Get(ctx, key(schedule, keySeen)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the members of schedule %s: %w", schedule, err)
	}
	if err := eachMember(packed, func(member []byte) error { do(member); return nil }); err != nil {
		return unreadable(schedule, keySeen, err)
	}
	return nil
}

// saveSeen stores the members of an accepted complete reading, and some more: about 6 bytes
// each.
func (s *Service) saveSeen(ctx context.Context, schedule string, members *present, more []string) error {
	packed, err := packMembers(func(add func(member []byte) error) error {
		err := members.each(add)
		for _, member := range more {
			if err == nil {
				err = add([]byte(member))
			}
		}
		return err
	})
	if err == nil {
		err = s.rdb.Set(ctx, key(schedule, keySeen), packed, kept).Err()
	}
	if err != nil {
		return fmt.Errorf("keep the members of schedule %s: %w", schedule, err)
	}
	return nil
}

// packMembers compresses the members that each adds, for eachMember.
func packMembers(each func(add func(member []byte) error) error) ([]byte, error) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	err = each(func(member []byte) error {
		_, err := fmt.Fprintf(w, "%s\n", member)
		return err
	})
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
