package bench

import (
	"fmt"
	"strings"

	"holt/netloop/wire"
)

// windowMax is how many requests of the preparation are under way at once: below ZooKeeper's globalOutstandingLimit of 1000.
const windowMax = 500

// window pipelines requests over a Conn. Replies come back in order to the function given with each.
type window struct {
	*Conn
	pending []func(p Reply) error
}

// ask queues a request; got is called with its reply, at the latest by wait.
func (w *window) ask(op wire.Op, body func(dst []byte) []byte, got func(p Reply) error) error {
	b, start := w.Begin(op)
	w.End(body(b), start)
	w.pending = append(w.pending, got)
	if len(w.pending) < windowMax {
		return nil
	}
	return w.wait()
}

// wait takes the replies of all that was asked.
func (w *window) wait() error {
	if err := w.Flush(); err != nil {
		return err
	}
	pending := w.pending
	w.pending = nil
	for _, got := range pending {
		p, err := w.Next()
		for err == nil && p.Xid < 0 {
			p, err = w.Next() // an event
		}
		if err != nil {
			return err
		}
		if err := got(p); err != nil {
			return err
		}
	}
	return nil
}

// create queues the creation of a znode, which may be there already.
func (w *window) create(path, data []byte) error {
	q := wire.CreateRequest{Path: path, Data: data, ACL: wire.OpenACL}
	return w.ask(wire.OpCreate, q.Append, func(p Reply) error {
		if p.Err != wire.CodeOK && p.Err != wire.CodeNodeExists {
			return fmt.Errorf("create: %s", codeName(p.Err))
		}
		return nil
	})
}

// MakePath creates a znode and those above it; what is there already stays.
func MakePath(s *Conn, path string) error {
	w := window{Conn: s}
	for i := 1; i <= len(path); i++ {
		if i == len(path) || path[i] == '/' {
			if err := w.create([]byte(path[:i]), nil); err != nil {
				return err
			}
		}
	}
	return w.wait()
}

// perDirectory is how many znodes of the key space lie in one directory.
const perDirectory = 1000

// appendKey is the path of a znode: root/d000012/n0000012345.
func appendKey(dst []byte, root string, key uint32) []byte {
	dst = append(append(dst, root...), "/d"...)
	dst = appendDigits(dst, key/perDirectory, 6)
	dst = append(dst, "/n"...)
	return appendDigits(dst, key, 10)
}

// appendDigits writes v in decimal, filled up with zeros.
func appendDigits(dst []byte, v uint32, width int) []byte {
	n := len(dst)
	const zeros = "0000000000"
	dst = append(dst, zeros[:width]...)
	for i := n + width - 1; i >= n && v > 0; i-- {
		dst[i] = '0' + byte(v%10)
		v /= 10
	}
	return dst
}

// lastDigits reads the number that a path ends with.
func lastDigits(path []byte) (v uint32) {
	scale := uint32(1)
	for i := len(path) - 1; i >= 0 && path[i] >= '0' && path[i] <= '9'; i-- {
		v += uint32(path[i]-'0') * scale
		scale *= 10
	}
	return v
}

// Fill creates the key space: nodes znodes below root, with data of value's size.
func Fill(s *Conn, root string, nodes int, value Range) error {
	w := window{Conn: s}
	blob := newBlob(value)
	for key := range uint32(nodes) {
		if key%perDirectory == 0 {
			path := appendDigits(append([]byte(root), "/d"...), key/perDirectory, 6)
			if err := w.create(path, nil); err != nil {
				return err
			}
		}
		if err := w.create(appendKey(nil, root, key), blob.at(key)); err != nil {
			return err
		}
	}
	return w.wait()
}

// removeTree deletes a znode and all below it; alone says that its parent goes too when it is empty then.
func removeTree(s *Conn, root string, alone bool) error {
	paths, err := listTree(s, root)
	if err != nil {
		return err
	}
	if alone {
		paths = append([]string{root[:strings.LastIndexByte(root, '/')]}, paths...)
	}
	w := window{Conn: s}
	for i := len(paths) - 1; i >= 0; i-- {
		q := wire.VersionRequest{Path: []byte(paths[i]), Version: wire.AnyVersion}
		if err := w.ask(wire.OpDelete, q.Append, func(p Reply) error {
			if p.Err != wire.CodeOK && p.Err != wire.CodeNoNode && (i > 0 || p.Err != wire.CodeNotEmpty) {
				return fmt.Errorf("delete %s: %s", paths[i], codeName(p.Err))
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return w.wait()
}

// listTree returns the paths of a znode and of all below it, parents first.
func listTree(s *Conn, root string) ([]string, error) {
	w := window{Conn: s}
	paths := []string{root}
	for done := 0; done < len(paths); {
		level := paths[done:]
		done = len(paths)
		for _, path := range level {
			q := wire.WatchRequest{Path: []byte(path)}
			if err := w.ask(wire.OpGetChildren, q.Append, func(p Reply) error {
				r := wire.NewReader(p.Body)
				children := r.Strings()
				for name, ok := children.Next(); ok && p.Err == wire.CodeOK; name, ok = children.Next() {
					paths = append(paths, path+"/"+string(name))
				}
				return nil
			}); err != nil {
				return nil, err
			}
		}
		if err := w.wait(); err != nil {
			return nil, err
		}
	}
	return paths, nil
}
