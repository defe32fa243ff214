package org.apache.zookeeper.test;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.zookeeper.PortAssignment;
import org.apache.zookeeper.server.quorum.ExternalPeer;
import org.apache.zookeeper.server.quorum.QuorumPeer;
import org.apache.zookeeper.server.quorum.QuorumPeer.LearnerType;
import org.apache.zookeeper.server.quorum.QuorumPeer.QuorumServer;
import org.apache.zookeeper.server.quorum.QuorumPeer.ServerState;

/**
 * Takes the place of the class of this name in ZooKeeper's tests jar: an ensemble of 2N+1 members, each a process, that are
 * started and stopped one by one.
 */
public class QuorumUtil {
    private static final String HOST = "127.0.0.1";
    private static final int TICK_MS = 2000;
    private static final int INIT_LIMIT = 3;

    /** One member, by its number. */
    public static class PeerStruct {
        public int id;
        public QuorumPeer peer;
        public File dataDir;
        public int clientPort;
    }

    public final int N;
    public final int ALL;

    /** Says that a test cannot wait for JMX beans. Nobody does here. */
    public boolean disableJMXTest = false;

    private final Map<Long, QuorumServer> lines = new HashMap<>();
    private final Map<Integer, PeerStruct> peers = new TreeMap<>();
    private final int syncLimit;
    private boolean localSessions;

    public QuorumUtil(int n) {
        this(n, 3);
    }

    public QuorumUtil(int n, int syncLimit) {
        N = n;
        ALL = 2 * n + 1;
        this.syncLimit = syncLimit;
        ClientBase.setupTestEnv();
        try {
            for (int id = 1; id <= ALL; id++) {
                PeerStruct member = new PeerStruct();
                member.id = id;
                member.dataDir = ClientBase.createTmpDir();
                member.clientPort = PortAssignment.unique();
                peers.put(id, member);
                lines.put((long) id, new QuorumServer(id, address(PortAssignment.unique()), address(PortAssignment.unique()),
                        address(member.clientPort), LearnerType.PARTICIPANT));
            }
            for (PeerStruct member : peers.values()) {
                member.peer = make(member);
            }
        } catch (IOException e) {
            throw new RuntimeException(e);
        }
    }

    private static InetSocketAddress address(int port) {
        return new InetSocketAddress(HOST, port);
    }

    private QuorumPeer make(PeerStruct member) throws IOException {
        QuorumPeer peer = new ExternalPeer(lines, member.dataDir, member.id, TICK_MS, INIT_LIMIT, syncLimit);
        if (localSessions) {
            peer.enableLocalSessions(true);
        }
        return peer;
    }

    /** A member; who asks for it mostly wants its role next, which is looked up here. */
    public PeerStruct getPeer(int id) {
        PeerStruct member = peers.get(id);
        member.peer.getPeerState();
        return member;
    }

    public void enableLocalSession(boolean enabled) {
        localSessions = enabled;
    }

    public void startAll() throws IOException {
        shutdownAll();
        startFirst(ALL);
    }

    /** Starts just a majority. */
    public void startQuorum() throws IOException {
        shutdownAll();
        startFirst(N + 1);
    }

    private void startFirst(int n) throws IOException {
        for (int id = 1; id <= n; id++) {
            start(id);
        }
        for (int id = 1; id <= n; id++) {
            awaitUp(id);
        }
        awaitLeader();
    }

    /** Whoever asks for the leader after this finds one. */
    private void awaitLeader() {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(ClientBase.CONNECTION_TIMEOUT);
        while (!leaderExists()) {
            assertTrue(System.nanoTime() < deadline, "a member leads");
        }
    }

    private void awaitUp(int id) {
        String hostPort = getConnectionStringForServer(id);
        assertTrue(ClientBase.waitForServerUp(hostPort, ClientBase.CONNECTION_TIMEOUT), "member " + id + " serves " + hostPort);
        getPeer(id);
    }

    public void start(int id) throws IOException {
        PeerStruct member = peers.get(id);
        member.peer = make(member);
        member.peer.start();
    }

    public void restart(int id) throws IOException {
        start(id);
        awaitUp(id);
    }

    public void startThenShutdown(int id) throws IOException {
        restart(id);
        shutdown(id);
    }

    public void shutdownAll() {
        for (PeerStruct member : peers.values()) {
            shutdown(member.id);
        }
        for (PeerStruct member : peers.values()) {
            String hostPort = HOST + ":" + member.clientPort;
            assertTrue(ClientBase.waitForServerDown(hostPort, ClientBase.CONNECTION_TIMEOUT), hostPort + " is served no more");
        }
    }

    public void shutdown(int id) {
        peers.get(id).peer.shutdown();
    }

    public String getConnString() {
        return peers.values().stream().map(m -> HOST + ":" + m.clientPort).collect(Collectors.joining(","));
    }

    public String getConnectString(QuorumPeer peer) {
        return HOST + ":" + peer.getClientPort();
    }

    public String getConnectionStringForServer(int id) {
        return HOST + ":" + peers.get(id).clientPort;
    }

    public boolean allPeersAreConnected() {
        return peers.values().stream().allMatch(m -> m.peer.getPeerState() != ServerState.LOOKING);
    }

    public QuorumPeer getLeaderQuorumPeer() {
        return getPeer(getLeaderServer()).peer;
    }

    public List<QuorumPeer> getFollowerQuorumPeers() {
        return peers.values().stream().map(m -> m.peer).filter(p -> p.leader == null).collect(Collectors.toUnmodifiableList());
    }

    public int getLeaderServer() {
        for (PeerStruct member : peers.values()) {
            if (member.peer.getPeerState() == ServerState.LEADING) {
                return member.id;
            }
        }
        throw new AssertionError("no member leads");
    }

    public boolean leaderExists() {
        return peers.values().stream().anyMatch(m -> m.peer.getPeerState() == ServerState.LEADING);
    }

    public void tearDown() throws Exception {
        shutdownAll();
    }
}
