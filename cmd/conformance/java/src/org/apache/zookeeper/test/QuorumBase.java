package org.apache.zookeeper.test;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.apache.zookeeper.PortAssignment;
import org.apache.zookeeper.TestableZooKeeper;
import org.apache.zookeeper.server.quorum.ExternalPeer;
import org.apache.zookeeper.server.quorum.QuorumPeer;
import org.apache.zookeeper.server.quorum.QuorumPeer.LearnerType;
import org.apache.zookeeper.server.quorum.QuorumPeer.QuorumServer;
import org.apache.zookeeper.server.quorum.QuorumPeer.ServerState;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/**
 * Takes the place of the class of this name in ZooKeeper's tests jar: a test's ensemble of five members, each a process. The
 * original gives its members an oracle, which has a say only in ensembles of two; here none has one.
 */
public class QuorumBase extends ClientBase {
    protected static final String LOCALADDR = "127.0.0.1";
    private static final int SIZE = 5;
    private static final int TICK_MS = 2000;
    private static final int LIMIT = 3;

    // The names by which tests of this package know the members and their directories.
    File s1dir;
    File s2dir;
    File s3dir;
    File s4dir;
    File s5dir;
    QuorumPeer s1;
    QuorumPeer s2;
    QuorumPeer s3;
    QuorumPeer s4;
    QuorumPeer s5;
    protected int portClient1;
    protected int portClient2;
    protected int portClient3;
    protected int portClient4;
    protected int portClient5;

    protected boolean localSessionsEnabled = false;
    protected boolean localSessionsUpgradingEnabled = false;

    private final int[] peerPorts = new int[SIZE];
    private final int[] electionPorts = new int[SIZE];
    private final int[] clientPorts = new int[SIZE];

    @BeforeEach
    @Override
    public void setUp() throws Exception {
        setUp(false, true);
    }

    protected void setUp(boolean withObservers, boolean withOracle) throws Exception {
        setupTestEnv();
        setUpAll();
        for (int i = 0; i < SIZE; i++) {
            peerPorts[i] = PortAssignment.unique();
            electionPorts[i] = PortAssignment.unique();
            clientPorts[i] = PortAssignment.unique();
        }
        portClient1 = clientPorts[0];
        portClient2 = clientPorts[1];
        portClient3 = clientPorts[2];
        portClient4 = clientPorts[3];
        portClient5 = clientPorts[4];
        hostPort = Arrays.stream(clientPorts).mapToObj(port -> LOCALADDR + ":" + port).collect(Collectors.joining(","));
        s1dir = createTmpDir();
        s2dir = createTmpDir();
        s3dir = createTmpDir();
        s4dir = createTmpDir();
        s5dir = createTmpDir();
        startServers(withObservers, withOracle);
    }

    void startServers() throws Exception {
        startServers(false, true);
    }

    void startServers(boolean withObservers, boolean withOracle) throws Exception {
        makeServers(withObservers);
        getPeerList().forEach(QuorumPeer::start);
        for (String server : hostPort.split(",")) {
            assertTrue(waitForServerUp(server, CONNECTION_TIMEOUT), server + " is served");
        }
        getPeerList().forEach(QuorumPeer::getPeerState);
    }

    public void setupServers() throws IOException {
        makeServers(false);
    }

    private void makeServers(boolean withObservers) throws IOException {
        s1 = make(1, s1dir, withObservers);
        s2 = make(2, s2dir, withObservers);
        s3 = make(3, s3dir, withObservers);
        s4 = make(4, s4dir, withObservers);
        s5 = make(5, s5dir, withObservers);
    }

    public void setupServer(int id) throws IOException {
        switch (id) {
            case 1:
                s1 = make(1, s1dir, false);
                break;
            case 2:
                s2 = make(2, s2dir, false);
                break;
            case 3:
                s3 = make(3, s3dir, false);
                break;
            case 4:
                s4 = make(4, s4dir, false);
                break;
            case 5:
                s5 = make(5, s5dir, false);
                break;
            default:
                throw new IllegalArgumentException("member " + id);
        }
    }

    private QuorumPeer make(int id, File dir, boolean withObservers) throws IOException {
        Map<Long, QuorumServer> members = new HashMap<>();
        for (int i = 0; i < SIZE; i++) {
            LearnerType type = withObservers && i >= 3 ? LearnerType.OBSERVER : LearnerType.PARTICIPANT;
            members.put(i + 1L, new QuorumServer(i + 1, address(peerPorts[i]), address(electionPorts[i]), address(clientPorts[i]), type));
        }
        QuorumPeer peer = new ExternalPeer(members, dir, id, TICK_MS, LIMIT, LIMIT);
        peer.enableLocalSessions(localSessionsEnabled);
        peer.enableLocalSessionsUpgrading(localSessionsUpgradingEnabled);
        return peer;
    }

    private static InetSocketAddress address(int port) {
        return new InetSocketAddress(LOCALADDR, port);
    }

    public ArrayList<QuorumPeer> getPeerList() {
        return new ArrayList<>(List.of(s1, s2, s3, s4, s5));
    }

    /** The place of the first member of which that holds, -1 if it holds for none. */
    private int first(Predicate<QuorumPeer> what) {
        List<QuorumPeer> peers = getPeerList();
        for (int i = 0; i < SIZE; i++) {
            if (what.test(peers.get(i))) {
                return i;
            }
        }
        return -1;
    }

    private static boolean leads(QuorumPeer peer) {
        return peer.getPeerState() == ServerState.LEADING;
    }

    private static boolean observes(QuorumPeer peer) {
        return peer.getLearnerType() == LearnerType.OBSERVER;
    }

    public int getLeaderIndex() {
        return first(QuorumBase::leads);
    }

    public int getLeaderClientPort() {
        int i = getLeaderIndex();
        return i < 0 ? -1 : clientPorts[i];
    }

    public QuorumPeer getLeaderQuorumPeer() {
        int i = getLeaderIndex();
        return i < 0 ? null : getPeerList().get(i);
    }

    public File getLeaderDataDir() {
        int i = getLeaderIndex();
        return i < 0 ? null : List.of(s1dir, s2dir, s3dir, s4dir, s5dir).get(i);
    }

    public QuorumPeer getFirstObserver() {
        int i = first(QuorumBase::observes);
        return i < 0 ? null : getPeerList().get(i);
    }

    public int getFirstObserverClientPort() {
        int i = first(QuorumBase::observes);
        return i < 0 ? -1 : clientPorts[i];
    }

    /** The addresses of the members in that state, each with a comma behind it. */
    public String getPeersMatching(ServerState state) {
        return getPeerList().stream()
                .filter(peer -> peer.getPeerState() == state)
                .map(peer -> LOCALADDR + ":" + peer.getClientPort() + ",")
                .collect(Collectors.joining());
    }

    public QuorumPeer getPeerByClientPort(int port) {
        int i = first(peer -> peer.getClientPort() == port);
        return i < 0 ? null : getPeerList().get(i);
    }

    @AfterEach
    @Override
    public void tearDown() throws Exception {
        shutdownServers();
        for (String server : hostPort.split(",")) {
            assertTrue(waitForServerDown(server, CONNECTION_TIMEOUT), server + " is served no more");
        }
    }

    public void shutdownServers() {
        getPeerList().forEach(QuorumBase::shutdown);
    }

    public static void shutdown(QuorumPeer peer) {
        if (peer != null) {
            peer.shutdown();
        }
    }

    protected TestableZooKeeper createClient() throws IOException, InterruptedException {
        return createClient(hostPort);
    }

    protected TestableZooKeeper createClient(String servers) throws IOException, InterruptedException {
        return createClient(new CountdownWatcher(), servers);
    }

    protected TestableZooKeeper createClient(CountdownWatcher watcher, ServerState state) throws IOException, InterruptedException {
        return createClient(watcher, getPeersMatching(state));
    }
}
