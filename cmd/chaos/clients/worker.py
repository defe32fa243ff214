"""Clients of kazoo under chaos: random operations, one JSON line for each on standard output. See ../doc.go and ../history.go
for what the lines mean. Ends when standard input does."""

import argparse
import json
import random
import sys
import threading
import time

from kazoo import exceptions as ke
from kazoo.client import KazooClient, KazooState

args = argparse.ArgumentParser()
args.add_argument("--servers")
args.add_argument("--name")
args.add_argument("--clients", type=int)
for number in ("seed", "timeout-ms", "epoch", "pairs", "generation-ms", "pause-ms", "sessions-ms"):
    args.add_argument("--" + number, type=int)
plan = args.parse_args()

stop = threading.Event()
output = threading.Lock()

UNKNOWN = (
    ke.ConnectionLoss,
    ke.ConnectionClosedError,
    ke.SessionExpiredError,
    ke.SessionMovedError,
    ke.OperationTimeoutError,
    ke.ConnectionDropped,
)


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def write(entry):
    line = json.dumps({k: v for k, v in entry.items() if v not in (None, "")}) + "\n"
    with output:
        sys.stdout.write(line)
        sys.stdout.flush()


class Client:
    def __init__(self, name, seed):
        self.name, self.random, self.n = name, random.Random(seed), 0
        self.open()

    def open(self):
        self.breaks, self.session, self.version = 0, 0, {}
        self.zk = KazooClient(
            hosts=plan.servers, timeout=plan.timeout_ms / 1000, randomize_hosts=True, connection_retry={"max_tries": -1, "max_delay": 0.5}
        )
        self.zk.add_listener(self.state)
        while True:
            try:
                self.zk.start(timeout=60)
                break
            except self.zk.handler.timeout_exception:
                pass
        self.opened = now()

    def state(self, state):
        """Runs on kazoo's connection thread."""
        at = now()
        entry = {"client": self.name, "session": self.session, "begin": at, "end": at}
        if state == KazooState.SUSPENDED:
            self.breaks += 1
            write(entry | {"op": "lost"})
        elif state == KazooState.LOST:
            if self.breaks >= 0:
                write(entry | {"op": "expired"})
        else:
            session = self.zk.client_id[0]
            session -= (session >> 63) << 64  # signed, as Go and Java have it
            if session == self.session:
                write(entry | {"op": "back"})
            else:
                self.session = session
                write(entry | {"op": "session", "session": session, "timeout": self.zk._session_timeout})

    def run(self):
        while not stop.is_set():
            time.sleep(self.random.uniform(0, plan.pause_ms / 1000) if self.step() else 0.1)
        self.breaks = -(1 << 40)
        self.zk.stop()

    def step(self):
        if now() - self.opened > plan.sessions_ms * 1_000_000:
            self.leave()
            return True
        self.n += 1
        generation = (now() - plan.epoch) // (plan.generation_ms * 1_000_000)
        pair = "/chaos/r/%04d-%d" % (generation, self.random.randrange(plan.pairs))
        path = pair + self.random.choice(("-a", "-b"))
        value = "%s.%d" % (self.name, self.n)
        k = self.random.randrange(100)
        if k < 22:
            return self.do("set", path, value, lambda e: self.set(e, -1))
        if k < 32 and path in self.version:
            return self.do("cas", path, value, lambda e: self.set(e, self.version[path]))
        if k < 54:
            return self.do("read", path, "", self.read)
        if k < 74:
            return self.do("get", path, "", self.get)
        if k < 84:
            return self.do("create", path, value, lambda e: self.zk.create(path, value.encode()))
        if k < 86:
            return self.do("delete", path, "", lambda e: self.zk.delete(path))
        if k < 93:
            return self.do("multi", pair, value, self.multi)
        if k < 97:
            path = "/chaos/log/" + value
            return self.do("append", path, value, lambda e: self.zk.create(path, value.encode()))
        if k < 98:
            path = "/chaos/eph/" + value
            return self.do("ephemeral", path, value, lambda e: self.zk.create(path, value.encode(), ephemeral=True))
        return self.do("census", "/chaos/eph", "", self.census)

    def do(self, op, path, value, call):
        entry = {"client": self.name, "session": self.session, "op": op, "path": path, "value": value, "begin": now()}
        try:
            call(entry)
            entry["result"] = "ok"
            entry["session"] = self.session
        except ke.NoNodeError:
            entry["result"] = "nonode"
        except ke.NodeExistsError:
            entry["result"] = "exists"
        except ke.BadVersionError:
            entry["result"] = "badversion"
        except UNKNOWN:
            entry["result"] = "unknown"
        except Exception as e:
            entry["result"], entry["error"] = "fault", repr(e)
        entry["end"] = now()
        write(entry)
        return entry["result"] != "unknown"

    def stat(self, entry, stat):
        entry["version"], entry["zxid"] = stat.version, stat.mzxid

    def set(self, entry, version):
        entry["want"] = version
        stat = self.zk.set(entry["path"], entry["value"].encode(), version)
        self.stat(entry, stat)
        self.version[entry["path"]] = stat.version

    def get(self, entry):
        data, stat = self.zk.get(entry["path"])
        entry["got"] = data.decode()
        self.stat(entry, stat)
        self.version[entry["path"]] = stat.version

    def read(self, entry):
        breaks = self.breaks
        self.zk.sync(entry["path"])
        try:
            self.get(entry)
        finally:
            if self.breaks != breaks:
                entry["op"] = "get"  # another connection than the sync's

    def census(self, entry):
        breaks = self.breaks
        self.zk.sync(entry["path"])
        entry["names"] = self.zk.get_children(entry["path"])
        if self.breaks != breaks:
            raise ke.ConnectionLoss("no census of one moment")

    def multi(self, entry):
        t = self.zk.transaction()
        for register in ("-a", "-b"):
            t.set_data(entry["path"] + register, entry["value"].encode())
        results = t.commit()
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, (ke.RolledBackError, ke.RuntimeInconsistency)):
                raise result
        for result in results:
            if isinstance(result, Exception):
                raise result
        self.stat(entry, results[0])

    def leave(self):
        entry = {"client": self.name, "session": self.session, "op": "close", "begin": now()}
        entry["result"] = "unknown"  # kazoo does not say whether the server heard it
        self.breaks = -(1 << 40)  # what is told from here on is no expiry
        self.zk.stop()
        self.zk.close()
        entry["end"] = now()
        write(entry)
        self.open()


def work(name, seed):
    Client(name, seed).run()


threads = [threading.Thread(target=work, args=(plan.name + str(i + 1), plan.seed + i)) for i in range(plan.clients)]
for t in threads:
    t.start()
sys.stdin.read()
stop.set()
for t in threads:
    t.join(30)
