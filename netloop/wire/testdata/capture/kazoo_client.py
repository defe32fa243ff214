"""Drives kazoo through the operations it has, against 127.0.0.1:$1 (the capture proxy)."""

import sys
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.security import make_digest_acl

zk = KazooClient(hosts="127.0.0.1:" + sys.argv[1], timeout=6)
zk.start()
seen = []


def attempt(f, *args, **kwargs):
    try:
        return f(*args, **kwargs)
    except KazooException as e:
        print(f.__name__, args, type(e).__name__)


zk.create("/k", b"root")
zk.create("/k/null", None)
zk.create("/k/empty", b"")
zk.create("/k/seq-", b"s", sequence=True)
zk.create("/k/eph", b"e", ephemeral=True)
zk.create("/k/ephseq-", b"e", ephemeral=True, sequence=True)
zk.create("/k/stat", b"s", include_data=True)
attempt(zk.create, "/k", b"again")
attempt(zk.create, "/missing/x", b"")
zk.get("/k", watch=seen.append)
zk.get("/k/null")
zk.get("/k/empty")
attempt(zk.get, "/missing")
zk.exists("/later", watch=seen.append)
zk.get_children("/k", watch=seen.append)
zk.get_children("/k", include_data=True)
zk.set("/k", b"changed")
attempt(zk.set, "/k", b"x", version=77)
zk.create("/later", b"")
zk.delete("/later")
zk.get_acls("/k")
zk.add_auth("digest", "user:secret")
zk.set_acls("/k/seq-0000000002", [make_digest_acl("user", "secret", all=True)])
zk.get_acls("/k/seq-0000000002")
zk.sync("/k")
t = zk.transaction()
t.check("/k", -1)
t.create("/k/t", b"t")
t.set_data("/k/t", b"u")
t.delete("/k/t")
print(t.commit())
t = zk.transaction()
t.create("/k/t", b"t")
t.delete("/missing")
t.set_data("/k", b"u")
print(t.commit())
attempt(zk.reconfig, None, None, "server.1=a:1:2;3")
zk.get("/k", watch=seen.append)
zk.exists("/later", watch=seen.append)
zk.get_children("/k", watch=seen.append)
attempt(zk.exists, "/cut-me")
time.sleep(2.5)
zk.retry(zk.set, "/k", b"after")
attempt(zk.delete, "/k")
time.sleep(2.5)
zk.delete("/k", recursive=True)
time.sleep(0.2)
print(len(seen), "events")
zk.stop()
zk.close()
