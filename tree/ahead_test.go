package tree

import (
	"fmt"
	"testing"
)

// TestLookAheadFollowsEveryPath: each walk ends at the znode that lookup finds, and ends whatever the path is.
func TestLookAheadFollowsEveryPath(t *testing.T) {
	var w writer
	paths := []string{"", "/", "//", "/a/", "/none", "/a/b/none", "/a//b", "no slash", "/a\x00", "/a/b/c/d/e"}
	s := New()
	for _, dir := range []string{"/a", "/a/b", "/a/b/c"} {
		addPath(s, dir)
		for i := range 100 {
			path := fmt.Sprintf("%s/child-%03d", dir, i)
			addPath(s, path)
			paths = append(paths, dir, path, path+"/none")
		}
	}
	w.top = s.freeze().top.slot()
	all := make([][]byte, 0, AheadPathsMax)
	for _, path := range paths {
		want := w.lookup([]byte(path))
		if len(path) > 1 && path[0] == '/' {
			a := ahead{at: w.top, rest: []byte(path)}
			steps := 0
			for a.step() {
				steps++
			}
			if want != nil && znodeOf(leafOf(a.at)) != want {
				t.Errorf("%q: the walk ends elsewhere after %d steps", path, steps)
			}
		}
		if all = append(all, []byte(path)); len(all) == cap(all) {
			lookAhead(w.root(), all)
			all = all[:0]
		}
	}
	lookAhead(w.root(), all)
}

func addPath(s *State, path string) {
	parent, name, _ := cutPath([]byte(path))
	f := fields{name: name}
	f.created(1, 1)
	s.add(s.w.lookup(parent), parent, []byte(path), &f)
}
