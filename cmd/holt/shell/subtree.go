package shell

import (
	"errors"

	"holt/netloop/wire"
)

// deleteBatch is how many deletes are under way at once unless -b says otherwise.
const deleteBatch = 1000

// join makes a child's path.
func join(parent, name string) string {
	if parent == "/" {
		return "/" + name
	}
	return parent + "/" + name
}

// walk visits a path and all below it, parents before children, children in order. Znodes that vanish meanwhile are
// left out.
func (c *client) walk(path string, visit func(path string) error) error {
	names, _, err := c.children(path, false)
	if err != nil {
		return err
	}
	if err := visit(path); err != nil {
		return err
	}
	for _, name := range names {
		if err := c.walk(join(path, name), visit); err != nil && !isCode(err, wire.CodeNoNode) {
			return err
		}
	}
	return nil
}

// subtree lists what walk visits.
func (c *client) subtree(path string) (paths []string, err error) {
	err = c.walk(path, func(path string) error {
		paths = append(paths, path)
		return nil
	})
	return paths, err
}

// removeAll deletes children before parents, many at a time: replies come in order, so the order of deletes holds.
func removeAll(sh *Shell, o *options) error {
	batch, err := o.number("b", deleteBatch)
	if err != nil || batch < 1 {
		return usagef("-b takes a number, at least 1")
	}
	paths, err := sh.client.subtree(o.args[0])
	if err != nil {
		return err
	}
	var underWay []*call
	var failed error
	settle := func(q *call) {
		_, err := q.wait()
		if err != nil && failed == nil && !isCode(err, wire.CodeNoNode) {
			failed = err
		}
	}
	for i := len(paths) - 1; i >= 0; i-- {
		if len(underWay) == int(batch) {
			settle(underWay[0])
			underWay = underWay[1:]
		}
		request := wire.VersionRequest{Path: sh.client.path(paths[i]), Version: -1}
		underWay = append(underWay, sh.client.start(wire.OpDelete, request.Append))
	}
	for _, q := range underWay {
		settle(q)
	}
	if failed != nil {
		return errors.Join(errors.New("Failed to delete some node(s) in the subtree!"), about(o.args[0], failed)) //nolint:staticcheck // ZooKeeper's words
	}
	return nil
}
