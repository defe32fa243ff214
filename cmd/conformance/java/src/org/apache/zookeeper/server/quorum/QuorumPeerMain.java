package org.apache.zookeeper.server.quorum;

import holt.conformance.ServerProcess;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.apache.zookeeper.server.quorum.QuorumPeerConfig.ConfigException;

/**
 * Takes the place of ZooKeeper's class of this name in the JVM of the tests (not in the server's): a server that a test starts
 * from a file of its own is an external process.
 */
public class QuorumPeerMain {
    /** Stays null, as it does in ZooKeeper, when the file describes a standalone server. */
    protected QuorumPeer quorumPeer;

    protected void initializeAndRun(String[] args) throws IOException {
        Path config = Path.of(args[0]);
        try {
            QuorumPeerConfig parsed = parse(config);
            if (parsed != null && parsed.isDistributed()) {
                ExternalPeer peer = new ExternalPeer(config, parsed);
                quorumPeer = peer;
                peer.start();
                peer.awaitEnd();
                return;
            }
            ServerProcess.start(config).join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Reads a copy, since reading a file can rewrite it, and leaves no key behind as a system property, which is every server's
     * setting here. Null for a file that ZooKeeper refuses: the process may say so.
     */
    private static QuorumPeerConfig parse(Path config) throws IOException {
        Path dir = Files.createTempDirectory("copy");
        Properties lines = new Properties();
        try (Reader text = Files.newBufferedReader(config)) {
            lines.load(text);
        }
        synchronized (ServerProcess.PROPERTIES) {
            Properties before = (Properties) System.getProperties().clone();
            try {
                return parseCopy(Files.copy(config, dir.resolve("zoo.cfg")));
            } finally {
                lines.stringPropertyNames().forEach(key -> restore("zookeeper." + key, before));
            }
        }
    }

    private static void restore(String name, Properties before) {
        String value = before.getProperty(name);
        if (value == null) {
            System.clearProperty(name);
        } else {
            System.setProperty(name, value);
        }
    }

    private static QuorumPeerConfig parseCopy(Path copy) {
        QuorumPeerConfig parsed = new QuorumPeerConfig();
        try {
            parsed.parse(copy.toString());
            return parsed;
        } catch (ConfigException refused) {
            return null;
        }
    }
}
