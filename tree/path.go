package tree

import (
	"bytes"
	"unicode/utf8"
)

// Paths that ZooKeeper itself owns; they cannot be deleted.
const (
	zookeeperPath = "/zookeeper"
	quotaPath     = "/zookeeper/quota"
	configPath    = "/zookeeper/config"
)

func reserved(path []byte) bool {
	switch string(path) {
	case "/", zookeeperPath, quotaPath, configPath:
		return true
	}
	return false
}

// cutPath cuts path at its last slash. The parent of "/a" is "", which is
// an alias of the root. ok is false without a slash or with a NUL: what
// ZooKeeper refuses before it looks at the parent.
func cutPath(path []byte) (parent, name []byte, ok bool) {
	i := bytes.LastIndexByte(path, '/')
	if i < 0 || bytes.IndexByte(path, 0) >= 0 {
		return nil, nil, false
	}
	return path[:i], path[i+1:], true
}

// validPath follows ZooKeeper's PathUtils.validatePath on the bytes of the
// path. Bytes that are not UTF-8 arrive there as U+FFFD, which is refused.
func validPath(path []byte) bool {
	if len(path) == 0 || path[0] != '/' {
		return false
	}
	for rest := path[1:]; len(rest) > 0; {
		n := bytes.IndexByte(rest, '/')
		if n == len(rest)-1 {
			return false
		}
		if n < 0 {
			return validName(rest)
		}
		if !validName(rest[:n]) {
			return false
		}
		rest = rest[n+1:]
	}
	return true
}

// validName checks one segment of a path.
func validName(name []byte) bool {
	switch len(name) {
	case 0:
		return false
	case 1:
		if name[0] == '.' {
			return false
		}
	case 2:
		if name[0] == '.' && name[1] == '.' {
			return false
		}
	}
	for i := 0; i < len(name); {
		if c := name[i]; c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, size := utf8.DecodeRune(name[i:])
		// U+FFFD of a bad sequence falls into the last range.
		if r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 {
			return false
		}
		i += size
	}
	return true
}
