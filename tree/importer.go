package tree

import (
	"bytes"
	"slices"
)

// Imported is a znode of another server, with what ZooKeeper stores of it (StatPersisted).
type Imported struct {
	Data                       []byte // nil: null
	ACL                        []byte // AppendACL form; nil: world:anyone ALL
	Czxid, Mzxid, Pzxid        Zxid
	Ctime, Mtime               int64 // ms since 1970
	Version, Creates, Aversion int32 // Creates is the cversion that is stored: it counts creates only
	Owner                      int64 // the ephemeralOwner that is stored: a session, or what makes a container or a TTL node
}

// Importer makes a State of what another server stored. It builds as the Loader does, bottom-up, but there is no digest
// to hold the result against. The zero Importer is ready; after an error it is of no use.
type Importer struct{ loader Loader }

// Znode takes the next znode under its key (AppendKey), in ascending order of keys, the root first. The error wraps ErrCorrupt.
func (i *Importer) Znode(key []byte, z *Imported) error {
	l := &i.loader.znodes
	if err := l.begin(key); err != nil {
		return err
	}
	f := &l.f
	f.czxid, f.mzxid, f.pzxid, f.ctime, f.mtime = z.Czxid, z.Mzxid, z.Pzxid, z.Ctime, z.Mtime
	f.version, f.creates, f.aversion, f.owner, f.data = z.Version, z.Creates, z.Aversion, z.Owner, z.Data
	if z.ACL != nil && string(z.ACL) != string(OpenACL) {
		var err error
		if f.acl, err = l.acls.get(z.ACL); err != nil {
			return err
		}
	}
	i.loader.count(key, l.end(key))
	return nil
}

// Session takes a session, after all znodes. The error wraps ErrCorrupt.
func (i *Importer) Session(s *Session) error {
	if kindOf(int64(s.ID)) != ephemeral {
		return corruptf("%#x is no id of a session", uint64(s.ID))
	}
	id := sessionKey(s.ID)
	return i.loader.addSession(id[:], appendSessionValue(nil, s))
}

// Finish is the State, whose last transaction was zxid. What quotas are used is counted anew, as ZooKeeper does when it
// starts (DataTree.setupQuota). The error wraps ErrCorrupt.
func (i *Importer) Finish(zxid Zxid) (*State, error) {
	i.loader.root.zxid = zxid
	s, err := i.loader.state()
	if err != nil {
		return nil, err
	}
	for _, path := range []string{zookeeperPath, quotaPath, configPath} {
		if s.w.lookup([]byte(path)) == nil {
			return nil, corruptf("%s is not there", path)
		}
	}
	var limited []string
	s.root.Quotas(func(q Quota) bool {
		limited = append(limited, q.Path)
		return true
	})
	for _, path := range limited {
		stats := slices.Concat([]byte(quotaPath), []byte(path), []byte("/"+statsName))
		if z := s.w.lookup(stats); z != nil {
			s.startStats([]byte(path), z)
		}
	}
	s.freeze()
	return s, nil
}

// ContainerOwner is the ephemeralOwner that is stored for a container (EphemeralType).
const ContainerOwner int64 = containerOwner

// TTLOwner is the ephemeralOwner that is stored for a znode with a TTL in ms.
func TTLOwner(ttlMs int64) int64 { return ttlOwner(ttlMs) }

// IsEphemeral says whether a stored ephemeralOwner is a session.
func IsEphemeral(owner int64) bool { return kindOf(owner) == ephemeral }

// Fresh is a znode that a server has from the beginning: "/", /zookeeper, /zookeeper/quota or /zookeeper/config.
func Fresh(path string) Imported {
	f := lookup(New().root.top, []byte(path)).fields()
	return Imported{
		Data: bytes.Clone(f.data), ACL: []byte(encodedACL(f.acl)), Czxid: f.czxid, Mzxid: f.mzxid, Pzxid: f.pzxid,
		Ctime: f.ctime, Mtime: f.mtime, Version: f.version, Creates: f.creates, Aversion: f.aversion, Owner: f.owner,
	}
}
