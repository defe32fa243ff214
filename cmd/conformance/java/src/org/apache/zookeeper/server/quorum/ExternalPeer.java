package org.apache.zookeeper.server.quorum;

import holt.conformance.ServerProcess;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import javax.security.sasl.SaslException;
import org.apache.zookeeper.server.persistence.FileTxnSnapLog;
import org.apache.zookeeper.server.quorum.QuorumPeerConfig.ConfigException;
import org.apache.zookeeper.server.quorum.flexible.QuorumMaj;
import org.apache.zookeeper.server.quorum.flexible.QuorumVerifier;
import org.mockito.Mockito;

/**
 * A member of an ensemble that is a process, behind the methods and fields by which ZooKeeper's tests know one. What it is to
 * the others and who they are it learns from the outside, by {@code srvr} and {@code conf}.
 *
 * <p>Its fields leader, follower and observer are set while it is that, to objects without content.
 */
public final class ExternalPeer extends QuorumPeer {
    private static final Set<ExternalPeer> RUNNING = ConcurrentHashMap.newKeySet();
    private static final long LOOK_EVERY_MS = 50;
    private static final int LIST_EVERY = 10;

    private final Path config;
    /** Where members of this one's ensemble listen or listened for each other. */
    private final Set<InetSocketAddress> ensemble = ConcurrentHashMap.newKeySet();
    private volatile ServerProcess process;
    private volatile boolean down;

    /** A member that a test describes in code. Its zoo.cfg and its data are below dir. */
    public ExternalPeer(Map<Long, QuorumServer> members, File dir, long id, int tickTime, int initLimit, int syncLimit)
            throws IOException {
        this(dir.toPath().resolve("zoo.cfg"), id, dir, dir, new QuorumMaj(members));
        setTickTime(tickTime);
        setInitLimit(initLimit);
        setSyncLimit(syncLimit);
        setLearnerType(members.get(id).type);
    }

    /** A member that a test describes in a file. */
    ExternalPeer(Path config, QuorumPeerConfig parsed) throws IOException {
        this(config, parsed.getServerId(), parsed.getDataDir(), parsed.getDataLogDir(), parsed.getQuorumVerifier());
        setTickTime(parsed.getTickTime());
        setInitLimit(parsed.getInitLimit());
        setSyncLimit(parsed.getSyncLimit());
        setLearnerType(parsed.getPeerType());
        setConfigFileName(config.toString());
    }

    private ExternalPeer(Path config, long id, File dataDir, File logDir, QuorumVerifier members) throws SaslException, IOException {
        this.config = config;
        setMyid(id);
        setTxnFactory(new FileTxnSnapLog(logDir, dataDir));
        take(members);
    }

    private void take(QuorumVerifier members) {
        setQuorumVerifier(members, false);
        members.getAllMembers().values().forEach(server -> ensemble.addAll(server.addr.getAllAddresses()));
    }

    /** Writes the file of a member described in code. Server lines that the server has put elsewhere stay there. */
    private void writeConfig() throws IOException {
        Path data = config.resolveSibling("server");
        Files.createDirectories(data);
        Files.writeString(data.resolve("myid"), Long.toString(getMyId()));
        Map<String, String> lines = new LinkedHashMap<>();
        lines.put("tickTime", Integer.toString(getTickTime()));
        lines.put("initLimit", Integer.toString(getInitLimit()));
        lines.put("syncLimit", Integer.toString(getSyncLimit()));
        lines.put("dataDir", data.toAbsolutePath().toString());
        lines.put("localSessionsEnabled", Boolean.toString(areLocalSessionsEnabled()));
        lines.put("localSessionsUpgradingEnabled", Boolean.toString(isLocalSessionsUpgradingEnabled()));
        String elsewhere = ServerProcess.valueIn(config, "dynamicConfigFile");
        if (elsewhere != null) {
            lines.put("dynamicConfigFile", elsewhere);
        } else {
            getQuorumVerifier().getAllMembers().forEach((id, server) -> lines.put("server." + id, server.toString()));
        }
        List<String> text = new ArrayList<>();
        lines.forEach((key, value) -> text.add(key + "=" + value));
        Files.write(config, text);
    }

    @Override
    public synchronized void start() {
        try {
            if (getNextDynamicConfigFilename() == null) { // no file of the test's
                writeConfig();
            }
            process = ServerProcess.start(config, super.getClientAddress());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        down = false;
        RUNNING.add(this);
        Thread look = new Thread(this::lookUntilDown, "look at member " + getMyId());
        look.setDaemon(true);
        look.start();
    }

    private void lookUntilDown() {
        for (int i = 0; !down && process.isAlive(); i++) {
            become(role());
            if (i % LIST_EVERY == 0) {
                learnMembers();
            }
            try {
                Thread.sleep(LOOK_EVERY_MS);
            } catch (InterruptedException e) {
                return;
            }
        }
        RUNNING.remove(this);
        become(ServerState.LOOKING);
    }

    /** Returns when the process has ended. */
    void awaitEnd() throws InterruptedException {
        process.join();
    }

    @Override
    public void shutdown() {
        down = true;
        RUNNING.remove(this);
        if (process != null) {
            process.stop();
        }
        become(ServerState.LOOKING);
    }

    /** Learns the member's role and its view of the ensemble, and returns the role. */
    private ServerState look() {
        if (process == null || down) {
            return ServerState.LOOKING;
        }
        learnMembers();
        return become(role());
    }

    private ServerState role() {
        String answer = ask("srvr");
        if (answer.contains("Mode: leader")) {
            return ServerState.LEADING;
        }
        if (answer.contains("Mode: follower")) {
            return ServerState.FOLLOWING;
        }
        return answer.contains("Mode: observer") ? ServerState.OBSERVING : ServerState.LOOKING;
    }

    private synchronized ServerState become(ServerState role) {
        leader = role == ServerState.LEADING ? leader == null ? Mockito.mock(Leader.class) : leader : null;
        follower = role == ServerState.FOLLOWING ? follower == null ? Mockito.mock(Follower.class) : follower : null;
        observer = role == ServerState.OBSERVING ? observer == null ? Mockito.mock(Observer.class) : observer : null;
        return role;
    }

    /**
     * Takes over a newer list of members. A member whose client port has moved is found by the word of the others, but not
     * of those of another ensemble that the same test runs.
     */
    private void learnMembers() {
        List<ExternalPeer> asked = new ArrayList<>(List.of(this));
        RUNNING.stream().filter(peer -> !Collections.disjoint(ensemble, peer.ensemble)).forEach(asked::add);
        for (ExternalPeer peer : asked) {
            String[] parts = peer.ask("conf").split("membership: ?\n", 2);
            if (parts.length < 2) {
                continue;
            }
            try {
                take(configFromString(parts[1]));
                QuorumServer self = getQuorumVerifier().getAllMembers().get(getMyId());
                if (self != null) {
                    setLearnerType(self.type);
                }
                return;
            } catch (IOException | ConfigException e) {
                throw new IllegalStateException("the list of members that " + peer.config + " shows:\n" + parts[1], e);
            }
        }
    }

    private String ask(String word) {
        try {
            return ServerProcess.fourLetterWord(super.getClientAddress(), word);
        } catch (IOException noAnswer) {
            return "";
        }
    }

    @Override
    public ServerState getPeerState() {
        return look();
    }

    @Override
    public int getClientPort() {
        look();
        return super.getClientAddress().getPort();
    }

    @Override
    public InetSocketAddress getClientAddress() {
        look();
        return super.getClientAddress();
    }

    @Override
    public MultipleAddresses getQuorumAddress() {
        look();
        return super.getQuorumAddress();
    }

    @Override
    public MultipleAddresses getElectionAddress() {
        look();
        return super.getElectionAddress();
    }
}
