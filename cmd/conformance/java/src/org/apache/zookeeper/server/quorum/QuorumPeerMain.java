package org.apache.zookeeper.server.quorum;

import holt.conformance.ServerProcess;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Takes the place of ZooKeeper's class of this name in the JVM of the tests (not in the server's): a server that a test starts
 * from a file of its own is an external process.
 */
public class QuorumPeerMain {
    /** Stays null, as it does in ZooKeeper when the file describes a standalone server. */
    protected QuorumPeer quorumPeer;

    protected void initializeAndRun(String[] args) throws IOException {
        ServerProcess server = ServerProcess.start(Path.of(args[0]));
        try {
            server.join();
        } catch (InterruptedException e) {
            server.stop();
            Thread.currentThread().interrupt();
        }
    }
}
