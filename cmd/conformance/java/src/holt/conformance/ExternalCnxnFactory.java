package holt.conformance;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.zookeeper.server.ServerCnxn;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.ZooKeeperServer;

/**
 * ZooKeeper's tests start a server by giving a {@link ZooKeeperServer} to a {@link ServerCnxnFactory}, whose class is named by
 * {@code zookeeper.serverCnxnFactory}. This one starts a process instead: the ZooKeeperServer is never run, it only tells which
 * directory, ticks and session timeouts the test wants. So the test classes run as they were published.
 *
 * <p>A test that looks into the server's memory sees an empty one and fails, with either server.
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
    public void startup(ZooKeeperServer zks, boolean startServer) throws IOException, InterruptedException {
        File dir = zks.getTxnLogFactory().getDataLogDir().getParentFile();
        Map<String, String> settings = new TreeMap<>();
        settings.put("tickTime", Integer.toString(zks.getTickTime()));
        settings.put("minSessionTimeout", Integer.toString(zks.getMinSessionTimeout()));
        settings.put("maxSessionTimeout", Integer.toString(zks.getMaxSessionTimeout()));
        settings.put("maxClientCnxns", Integer.toString(Math.max(0, maxClientCnxnsPerHost)));
        setZooKeeperServer(zks);
        server = ServerProcess.start(dir, address, settings);
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
        maxClientCnxnsPerHost = max;
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
