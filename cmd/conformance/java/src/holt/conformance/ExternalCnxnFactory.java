package holt.conformance;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.zookeeper.metrics.MetricsUtils;
import org.apache.zookeeper.server.DataTree;
import org.apache.zookeeper.server.ServerCnxn;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.ZKDatabase;
import org.apache.zookeeper.server.ZooKeeperServer;

/**
 * ZooKeeper's tests start a server by giving a {@link ZooKeeperServer} to a {@link ServerCnxnFactory}, whose class is named by
 * {@code zookeeper.serverCnxnFactory}. This one starts a process instead: the ZooKeeperServer is never run, it only tells which
 * directory, ticks and session timeouts the test wants. So the test classes run as they were published.
 *
 * <p>A setting that a test changes on a running server restarts the process with it; clients reconnect.
 *
 * <p>A test that looks into the server's memory sees an empty one, with either server.
 */
public final class ExternalCnxnFactory extends ServerCnxnFactory {
    private InetSocketAddress address;
    private int maxClientCnxnsPerHost;
    private int backlog;
    private ServerProcess server;

    @Override
    public void configure(InetSocketAddress addr, int maxcc, int backlog, boolean secure) throws IOException {
        if (secure) {
            throw new IOException("the external server is started without TLS");
        }
        this.address = addr.getPort() == 0 ? new InetSocketAddress(addr.getAddress(), Ports.free()) : addr;
        this.maxClientCnxnsPerHost = maxcc;
        this.backlog = backlog;
        this.maxCnxns = Integer.getInteger("zookeeper.maxCnxns", 0);
    }

    @Override
    public void startup(ZooKeeperServer asked, boolean startServer) throws IOException {
        Settings settings = new Settings(asked);
        setZooKeeperServer(settings);
        run(settings);
    }

    private void run(ZooKeeperServer zks) throws IOException {
        Map<String, String> lines = new TreeMap<>();
        lines.put("tickTime", Integer.toString(zks.getTickTime()));
        lines.put("minSessionTimeout", Integer.toString(zks.getMinSessionTimeout()));
        lines.put("maxSessionTimeout", Integer.toString(zks.getMaxSessionTimeout()));
        lines.put("maxClientCnxns", Integer.toString(Math.max(0, maxClientCnxnsPerHost)));
        File dir = zks.getTxnLogFactory().getDataLogDir().getParentFile();
        server = ServerProcess.start(dir, address, lines);
    }

    private void rerun() {
        if (server == null) {
            return;
        }
        shutdown();
        try {
            run(zkServer);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The settings of the server a test gave to startup(), open to change as the original is. */
    private final class Settings extends ZooKeeperServer {
        Settings(ZooKeeperServer asked) {
            super(asked.getTxnLogFactory(), asked.getTickTime(), asked.getMinSessionTimeout(), asked.getMaxSessionTimeout(),
                    asked.getClientPortListenBacklog(), new Outside(asked), "");
        }

        @Override
        public void setMinSessionTimeout(int ms) {
            int before = getMinSessionTimeout();
            super.setMinSessionTimeout(ms);
            if (getMinSessionTimeout() != before) {
                rerun();
            }
        }

        @Override
        public void setMaxSessionTimeout(int ms) {
            int before = getMaxSessionTimeout();
            super.setMaxSessionTimeout(ms);
            if (getMaxSessionTimeout() != before) {
                rerun();
            }
        }
    }

    /** An empty database: all that is known of the server's memory is what it shows to the outside. */
    private static final class Outside extends ZKDatabase {
        Outside(ZooKeeperServer asked) {
            super(asked.getTxnLogFactory());
        }

        @Override
        public DataTree createDataTree() {
            return new DataTree() {
                @Override
                public int getWatchCount() {
                    return ((Number) MetricsUtils.currentServerMetrics().get("watch_count")).intValue();
                }
            };
        }
    }

    @Override
    public void shutdown() {
        if (server != null) {
            server.stop();
            server = null;
        }
    }

    @Override
    public int getLocalPort() {
        return address.getPort();
    }

    @Override
    public InetSocketAddress getLocalAddress() {
        return address;
    }

    @Override
    public Iterable<ServerCnxn> getConnections() {
        return List.of();
    }

    @Override
    public void reconfigure(InetSocketAddress addr) {
        throw new UnsupportedOperationException("an external server's client address is fixed at start");
    }

    @Override
    public int getMaxClientCnxnsPerHost() {
        return maxClientCnxnsPerHost;
    }

    @Override
    public void setMaxClientCnxnsPerHost(int max) {
        boolean changed = maxClientCnxnsPerHost != max;
        maxClientCnxnsPerHost = max;
        if (changed) {
            rerun();
        }
    }

    @Override
    public int getSocketListenBacklog() {
        return backlog;
    }

    @Override
    public void join() {}

    @Override
    public void start() {}

    @Override
    public void closeAll(ServerCnxn.DisconnectReason reason) {}

    @Override
    public void resetAllConnectionStats() {}

    @Override
    public Iterable<Map<String, Object>> getAllConnectionInfo(boolean brief) {
        return List.of();
    }
}
