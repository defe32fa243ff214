package watch

import "encoding/binary"

// pathEntry is a watched path. Its name and, while they are few, its watchers are in the record at ref.
type pathEntry struct {
	ref          ref
	dir          uint32 // key of the directory
	watchers     uint32
	dataWatchers uint32 // those that are in the data table
}

// dirEntry is the directory part of watched paths, stored once. Its key is unique: the hash of the text, or the next number
// that was free. A key, unlike an entry's number, does not change when entries move.
type dirEntry struct {
	ref  ref
	refs uint32
}

// find returns the entry of a path, or none. Equal hashes are told apart by the bytes.
func (t *Table) find(path string, h uint32) uint32 {
	id := t.paths.first(h)
	for ; id != none; id = t.paths.next(id) {
		if t.isPath(id, path) {
			return id
		}
	}
	return none
}

func (t *Table) isPath(id uint32, path string) bool {
	dir, name := cut(path)
	p := t.path.at(id)
	return string(t.text.record(p.ref).name) == name && string(t.dirName(p.dir)) == dir
}

func (t *Table) dirName(key uint32) []byte {
	return t.dirText.record(t.dir.at(t.dirs.first(key)).ref).name
}

// appendPath appends the text of a path.
func (t *Table) appendPath(dst []byte, id uint32) []byte {
	p := t.path.at(id)
	dst = append(dst, t.dirName(p.dir)...)
	return append(dst, t.text.record(p.ref).name...)
}

// newPath adds a path without watchers; the caller adds the first.
func (t *Table) newPath(path string, h uint32) uint32 {
	dir, name := cut(path)
	key := t.holdDir(dir)
	id := t.paths.insert(h)
	t.path.push(pathEntry{ref: refNone, dir: key})
	t.path.at(id).ref = t.text.alloc(id, name, 1)
	t.counts.Paths++
	return id
}

// dropPath removes a path without watchers; the last path takes its number.
func (t *Table) dropPath(id uint32) {
	p := t.path.at(id)
	if r := t.text.record(p.ref); r.isCrowd() {
		t.freeCrowd(r.slot(0))
	}
	t.text.drop(p.ref)
	t.releaseDir(p.dir)
	t.paths.remove(id)
	moveLast(&t.path, id, &t.text, func(e *pathEntry) ref { return e.ref })
	t.counts.Paths--
}

func (t *Table) holdDir(dir string) uint32 {
	key := fold(t.hash(dir))
	for ; ; key++ {
		id := t.dirs.first(key)
		if id == none {
			break
		}
		d := t.dir.at(id)
		if string(t.dirText.record(d.ref).name) == dir {
			d.refs++
			return key
		}
	}
	id := t.dirs.insert(key)
	t.dir.push(dirEntry{ref: refNone, refs: 1})
	t.dir.at(id).ref = t.dirText.alloc(id, dir, 0)
	return key
}

func (t *Table) releaseDir(key uint32) {
	id := t.dirs.first(key)
	d := t.dir.at(id)
	if d.refs--; d.refs > 0 {
		return
	}
	t.dirText.drop(d.ref)
	t.dirs.remove(id)
	moveLast(&t.dir, id, &t.dirText, func(e *dirEntry) ref { return e.ref })
}

// moveLast puts the last entry of a slab in the place of entry id and tells its record.
func moveLast[T any](s *slab[T], id uint32, a *arena, refOf func(*T) ref) {
	if last := s.n - 1; id != last {
		*s.at(id) = *s.at(last)
		binary.LittleEndian.PutUint32(a.record(refOf(s.at(id))).buf[recordOwner:], id)
	}
	s.pop()
}
