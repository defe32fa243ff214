"""A pytest plugin: kazoo's test harness starts its servers with a launcher (`$CONFORMANCE_LAUNCHER zoo.cfg`).

kazoo's own class builds a java command line. Here the same settings become lines of one zoo.cfg, so that ZooKeeper and Holt
are started, stopped and restarted by the same code with the same file.
"""

import os
import pathlib
import socket
import subprocess
import time

import pytest
from kazoo.testing import common

LAUNCHER = os.environ["CONFORMANCE_LAUNCHER"]
LOGS = pathlib.Path(os.environ["CONFORMANCE_LOGS"])
NOT_RUN = os.environ.get("CONFORMANCE_NOT_RUN", "")
START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20

# Whether the test at hand speaks TLS: only then has its server a secure port. kazoo starts its server anew for every class.
wants_tls = False


class LaunchedServer(common.ManagedZooKeeper):
    """One server process; it keeps its directory over stop() and run(), as kazoo's tests expect."""

    def run(self):
        if self.running:
            return
        work = pathlib.Path(self.working_path)
        data = work / "data"
        data.mkdir(parents=True, exist_ok=True)
        (data / "myid").write_text(str(self.server_info.server_id))
        config = work / "zoo.cfg"
        config.write_text("\n".join(self._settings(work, data)) + "\n")
        log = LOGS / f"server-{self.server_info.client_port}.log"
        with open(log, "ab") as out:
            out.write(b"\n=== zoo.cfg ===\n" + config.read_bytes())
            out.flush()
            self.process = subprocess.Popen(
                [LAUNCHER, str(config)], stdout=out, stderr=subprocess.STDOUT
            )
        self._running = True
        self._await_answer(log)

    def _await_answer(self, log):
        """Returns when the server answers; a server that ended fails the test at once, with the end of its log."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self._running = False
                break
            try:
                with socket.create_connection((self.host, self.client_port), 1) as conn:
                    conn.settimeout(2)
                    conn.sendall(b"ruok")
                    if conn.recv(4):
                        return
            except OSError:
                time.sleep(0.05)
        tail = "".join(self.get_logs(5))
        raise RuntimeError(f"the server does not serve port {self.client_port}; {log} ends with\n{tail}")

    def _settings(self, work, data):
        info = self.server_info
        lines = [
            "tickTime=2000",
            f"dataDir={data}",
            f"clientPort={info.client_port}",
            "maxClientCnxns=0",
            "admin.enableServer=false",
            "readonlymode.enabled=true",
        ]
        if wants_tls:
            lines += self._tls_settings(work)
        lines += self.configuration_entries
        lines += [p.removeprefix("-D") for p in self.java_system_properties]
        if self.jaas_config:
            jaas = work / "jaas.conf"
            jaas.write_text(self.jaas_config)
            lines += [
                "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
                f"java.security.auth.login.config={jaas}",
            ]
        if self.peers:
            lines += ["initLimit=4", "syncLimit=2", f"peerType={info.peer_type}"]
            for peer in (info, *self.peers):
                lines.append(
                    f"server.{peer.server_id}=localhost:{peer.leader_port}"
                    f":{peer.election_port}:{peer.peer_type}"
                )
        return lines

    def _tls_settings(self, work):
        truststore = work / "truststore.jks"
        keystore = work / "keystore.jks"
        self.ssl_configuration["truststore"].save(str(truststore), "apassword")
        self.ssl_configuration["keystore"].save(str(keystore), "apassword")
        return [
            f"secureClientPort={self.server_info.secure_client_port}",
            "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
            f"ssl.keyStore.location={keystore}",
            "ssl.keyStore.password=apassword",
            f"ssl.trustStore.location={truststore}",
            "ssl.trustStore.password=apassword",
        ]

    def stop(self):
        if not self.running:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._running = False

    def get_logs(self, num_lines=100):
        log = LOGS / f"server-{self.server_info.client_port}.log"
        return log.read_text(errors="replace").splitlines(True)[-num_lines:] if log.exists() else []


common.ManagedZooKeeper = LaunchedServer


def pytest_runtest_setup(item):
    global wants_tls
    wants_tls = item.cls is not None and "SSL" in item.cls.__name__


def _reasons():
    """not-run.txt as {test name: reason}; a name is `module.Class.test`, a class or a module."""
    reasons = {}
    if NOT_RUN:
        for line in pathlib.Path(NOT_RUN).read_text().splitlines():
            words = line.split(None, 2)
            if len(words) == 3 and words[0] == "kazoo":
                reasons[words[1]] = words[2]
    return reasons


def pytest_collection_modifyitems(items):
    reasons = _reasons()
    for item in items:
        module = item.module.__name__.rpartition(".")[2]
        names = [module]
        if item.cls is not None:
            names.append(f"{module}.{item.cls.__name__}")
        names.append(f"{names[-1]}.{item.name}")
        for name in names:
            if name in reasons:
                item.add_marker(pytest.mark.skip(reason=reasons[name]))
