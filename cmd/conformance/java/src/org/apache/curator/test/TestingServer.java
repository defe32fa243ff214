package org.apache.curator.test;

import holt.conformance.Ports;
import holt.conformance.ServerProcess;
import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.Map;
import java.util.TreeMap;
import org.apache.curator.test.compatibility.Timing2;

/**
 * Takes the place of the class of this name in curator-test: the server is an external process. A server may be started, stopped
 * (its data stays), started again, and closed (its data goes).
 */
public class TestingServer implements Closeable {
    private final InstanceSpec spec;
    private ServerProcess process;
    private int port;
    private boolean started;
    private boolean closed;

    public TestingServer() throws Exception {
        this(true);
    }

    public TestingServer(boolean start) throws Exception {
        this(-1, null, start);
    }

    public TestingServer(int port) throws Exception {
        this(port, null, true);
    }

    public TestingServer(int port, boolean start) throws Exception {
        this(port, null, start);
    }

    public TestingServer(int port, File dir) throws Exception {
        this(port, dir, true);
    }

    public TestingServer(int port, File dir, boolean start) throws Exception {
        this(new InstanceSpec(dir, Math.max(port, 0), -1, -1, true, -1), start);
    }

    public TestingServer(InstanceSpec spec, boolean start) throws Exception {
        this.spec = spec;
        this.port = spec.getPort();
        if (start) {
            start();
        }
    }

    public synchronized void start() throws Exception {
        if (started) {
            return;
        }
        if (closed) {
            throw new IllegalStateException("the server is closed, its data is gone");
        }
        if (port <= 0) {
            port = Ports.free();
        }
        process = ServerProcess.start(spec.getDataDirectory(), new InetSocketAddress("127.0.0.1", port), settings());
        started = true;
    }

    private Map<String, String> settings() {
        int tickMs = spec.getTickTime() >= 0 ? spec.getTickTime() : new Timing2().tickTime();
        Map<String, String> settings = new TreeMap<>();
        settings.put("tickTime", Integer.toString(tickMs));
        settings.put("minSessionTimeout", Integer.toString(tickMs));
        if (spec.getMaxClientCnxns() >= 0) {
            settings.put("maxClientCnxns", Integer.toString(spec.getMaxClientCnxns()));
        }
        if (spec.getCustomProperties() != null) {
            spec.getCustomProperties().forEach((key, value) -> settings.put(key, value.toString()));
        }
        return settings;
    }

    public synchronized void stop() throws IOException {
        if (process != null) {
            process.stop();
            process = null;
        }
    }

    public synchronized void restart() throws Exception {
        if (closed) {
            throw new IllegalStateException("the server is closed, its data is gone");
        }
        stop();
        started = false;
        start();
    }

    @Override
    public synchronized void close() throws IOException {
        stop();
        if (!closed && spec.deleteDataDirectoryOnClose()) {
            DirectoryUtils.deleteRecursively(spec.getDataDirectory());
        }
        closed = true;
    }

    public synchronized int getPort() {
        if (port <= 0) {
            throw new IllegalStateException("the server has no port before it is started");
        }
        return port;
    }

    public File getTempDirectory() {
        return spec.getDataDirectory();
    }

    public String getConnectString() {
        return spec.getHostname() + ":" + getPort();
    }
}
