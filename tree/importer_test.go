package tree

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// export gives an Importer what z and all below it are made of.
func export(t *testing.T, to *Importer, path []byte, z *znode) {
	t.Helper()
	f := z.fields()
	err := to.Znode(AppendKey(nil, path), &Imported{
		Data: f.data, ACL: []byte(encodedACL(f.acl)), Czxid: f.czxid, Mzxid: f.mzxid, Pzxid: f.pzxid,
		Ctime: f.ctime, Mtime: f.mtime, Version: f.version, Creates: f.creates, Aversion: f.aversion, Owner: f.owner,
	})
	if err != nil {
		t.Fatal(err)
	}
	z.walkChildren(nil, func(child *znode) bool {
		export(t, to, append(append(bytes.Clone(path), '/'), child.name()...), child)
		return true
	})
}

// A state made of another's parts is that state: digest, counts and image.
func TestImporter_MakesTheSameState(t *testing.T) {
	for seed := range uint64(20) {
		st := newStateTwin(seed)
		for range 300 {
			st.step()
		}
		want := st.freeze()
		var to Importer
		export(t, &to, nil, want.top)
		want.Sessions(func(s Session) bool {
			if err := to.Session(&s); err != nil {
				t.Fatal(err)
			}
			return true
		})
		state, err := to.Finish(want.zxid)
		if err != nil {
			t.Fatal(err)
		}
		got := state.Root()
		if got.Digest() != want.Digest() || got.NodeCount() != want.NodeCount() || got.EphemeralCount() != want.EphemeralCount() || got.DataBytes() != want.DataBytes() {
			t.Fatalf("seed %d: digest %x of %d znodes, want %x of %d", seed, got.Digest(), got.NodeCount(), want.Digest(), want.NodeCount())
		}
		if a, b := imageOf(t, got).kv, imageOf(t, want).kv; fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("seed %d: images differ", seed)
		}
	}
}

// What quotas are used is counted anew.
func TestImporter_CountsQuotas(t *testing.T) {
	var to Importer
	put := func(path, data string) {
		t.Helper()
		z := Imported{Data: []byte(data)}
		if err := to.Znode(AppendKey(nil, []byte(path)), &z); err != nil {
			t.Fatal(err)
		}
	}
	put("", "")
	put("/a", "12")
	put("/a/b", "345")
	put("/a/c", "")
	put("/zookeeper", "")
	put("/zookeeper/config", "")
	put("/zookeeper/quota", "")
	put("/zookeeper/quota/a", "")
	put("/zookeeper/quota/a/zookeeper_limits", "count=7,bytes=-1")
	put("/zookeeper/quota/a/zookeeper_stats", "count=99,bytes=99")
	state, err := to.Finish(5)
	if err != nil {
		t.Fatal(err)
	}
	state.Root().Quotas(func(q Quota) bool {
		if q.Path != "/a" || q.Count != 7 || q.CountUsed != 3 || q.BytesUsed != 5 {
			t.Errorf("%+v", q)
		}
		return true
	})
}

func TestImporter_Refuses(t *testing.T) {
	for want, use := range map[string]func(*Importer) error{
		"not the root": func(to *Importer) error { return to.Znode([]byte("n\x00a"), &Imported{}) },
		"without its parent": func(to *Importer) error {
			return errors.Join(to.Znode([]byte("n"), &Imported{}), to.Znode([]byte("n\x00a\x00b"), &Imported{}))
		},
		"ACL": func(to *Importer) error { return to.Znode([]byte("n"), &Imported{ACL: []byte{1}}) },
		"/zookeeper is not there": func(to *Importer) error {
			if err := to.Znode([]byte("n"), &Imported{}); err != nil {
				return err
			}
			_, err := to.Finish(1)
			return err
		},
		"no id of a session": func(to *Importer) error { return to.Session(&Session{ID: SessionID(TTLOwner(5))}) },
		"no znode": func(to *Importer) error {
			_, err := to.Finish(1)
			return err
		},
	} {
		var to Importer
		if err := use(&to); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
