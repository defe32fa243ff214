package holt.conformance;

import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.server.quorum.QuorumPeerConfig;

/**
 * One run of the server under test: {@code <launcher> <zoo.cfg>}, where the launcher is an executable named by
 * {@code conformance.launcher}. The file holds the settings the test asked for in code and, since the server's JVM is not the
 * test's, every system property that ZooKeeper would have read on the server's side.
 *
 * <p>The launcher is the only thing that differs between ZooKeeper and Holt.
 */
public final class ServerProcess {
    private static final String LAUNCHER = System.getProperty("conformance.launcher");
    private static final Path LOGS = Path.of(System.getProperty("conformance.logs", "logs"));
    private static final Set<Process> RUNNING = ConcurrentHashMap.newKeySet();
    private static final long START_TIMEOUT_NS = TimeUnit.SECONDS.toNanos(60);
    private static final long STOP_TIMEOUT_SECONDS = 20;

    /** Properties that only a client reads, or that choose classes of the test's own JVM. */
    private static final List<String> CLIENT_SIDE = List.of(
            "zookeeper.serverCnxnFactory",
            "zookeeper.clientCnxnSocket",
            "zookeeper.client.",
            "zookeeper.sasl.client",
            "zookeeper.request.timeout",
            "zookeeper.disableAutoWatchReset",
            "zookeeper.server.principal",
            "zookeeper.server.realm",
            "zookeeper.jmx.",
            "zookeeper.admin.",
            "zookeeper.4lw.commands.whitelist");

    /** Properties of the server that carry no {@code zookeeper.} in front. */
    private static final List<String> BARE =
            List.of("jute.maxbuffer", "readonlymode.enabled", "znode.container.", "java.security.auth.login.config");

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> RUNNING.forEach(Process::destroyForcibly)));
    }

    /** Held while system properties are not to be looked at: reading a file with ZooKeeper's classes sets some for a moment. */
    public static final Object PROPERTIES = new Object();

    private static volatile ServerProcess latest;

    private final Process process;
    private final InetSocketAddress address;

    private ServerProcess(Process process, InetSocketAddress address) {
        this.process = process;
        this.address = address;
    }

    /**
     * Writes {@code zoo.cfg} into dir, starts the server and returns when it accepts connections.
     *
     * @throws IOException when the server ends or stays silent; the message ends with the tail of its log
     */
    public static ServerProcess start(File dir, InetSocketAddress address, Map<String, String> settings) throws IOException {
        Map<String, String> lines = new TreeMap<>(settings);
        Files.createDirectories(dir.toPath().resolve("server"));
        lines.put("dataDir", dir.toPath().resolve("server").toAbsolutePath().toString());
        lines.put("clientPort", Integer.toString(address.getPort()));
        if (!address.getAddress().isAnyLocalAddress()) {
            lines.put("clientPortAddress", address.getAddress().getHostAddress());
        }
        lines.put("admin.enableServer", "false");
        lines.put("4lw.commands.whitelist", System.getProperty("zookeeper.4lw.commands.whitelist", "*"));
        addSystemProperties(lines);

        Path config = dir.toPath().resolve("zoo.cfg");
        Files.writeString(config, text(lines));
        ServerProcess server = launch(config, address);
        server.awaitListening();
        latest = server;
        return server;
    }

    /** Starts the server with a file that the test wrote, and with the system properties that the file cannot know. */
    public static ServerProcess start(Path config) throws IOException {
        return start(config, new InetSocketAddress("127.0.0.1", 0));
    }

    /** The same; address is where its clients come to, which is of use to who looks for its log. */
    public static ServerProcess start(Path config, InetSocketAddress address) throws IOException {
        complete(config);
        return launch(config, address);
    }

    /** Adds to the file what a test said elsewhere: in system properties, in switches of ZooKeeper's classes. */
    private static void complete(Path config) throws IOException {
        Map<String, String> more = new TreeMap<>();
        synchronized (PROPERTIES) {
            addSystemProperties(more);
        }
        more.put("admin.enableServer", "false");
        more.put("4lw.commands.whitelist", System.getProperty("zookeeper.4lw.commands.whitelist", "*"));
        more.put("reconfigEnabled", Boolean.toString(QuorumPeerConfig.isReconfigEnabled()));
        if (!QuorumPeerConfig.isStandaloneEnabled()) {
            more.put("standaloneEnabled", "false");
        }
        List<String> lines = new ArrayList<>(Files.readAllLines(config));
        lines.removeIf(line -> more.containsKey(key(line)));
        Files.writeString(config, String.join("\n", lines) + "\n" + text(more));
    }

    private static String key(String line) {
        return line.split("=", 2)[0].trim();
    }

    /** The value of a key in a zoo.cfg, null if there is no such file or key. */
    public static String valueIn(Path config, String key) throws IOException {
        if (!Files.exists(config)) {
            return null;
        }
        return Files.readAllLines(config).stream()
                .filter(line -> key(line).equals(key) && line.contains("="))
                .map(line -> line.split("=", 2)[1].trim())
                .reduce((first, last) -> last)
                .orElse(null);
    }

    private static String text(Map<String, String> lines) {
        StringBuilder text = new StringBuilder();
        lines.forEach((key, value) -> text.append(key).append('=').append(value).append('\n'));
        return text.toString();
    }

    private static ServerProcess launch(Path config, InetSocketAddress address) throws IOException {
        Files.createDirectories(LOGS);
        Path log = log(address);
        Files.writeString(log, "\n=== zoo.cfg ===\n" + Files.readString(config), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        Process process = new ProcessBuilder(LAUNCHER, config.toString())
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
                .start();
        RUNNING.add(process);
        return new ServerProcess(process, address);
    }

    private static Path log(InetSocketAddress address) {
        return LOGS.resolve("server-" + address.getPort() + ".log");
    }

    /** The server that was started last in this JVM. */
    public static ServerProcess latest() {
        return latest;
    }

    private static void addSystemProperties(Map<String, String> lines) {
        for (String name : System.getProperties().stringPropertyNames()) {
            boolean wanted = name.startsWith("zookeeper.") || BARE.stream().anyMatch(name::startsWith);
            if (wanted && CLIENT_SIDE.stream().noneMatch(name::startsWith)) {
                lines.put(name, System.getProperty(name));
            }
        }
    }

    private void awaitListening() throws IOException {
        long deadline = System.nanoTime() + START_TIMEOUT_NS;
        while (true) {
            if (!process.isAlive()) {
                RUNNING.remove(process);
                throw new IOException("server ended with status " + process.exitValue() + " before it listened on port "
                        + address.getPort() + "\n" + tail());
            }
            if (answers()) {
                return;
            }
            if (System.nanoTime() > deadline) {
                stop();
                throw new IOException("server does not listen on port " + address.getPort() + "\n" + tail());
            }
            pause();
        }
    }

    /** Whether the server answers a four-letter word, be it that the word is not on its list. */
    private boolean answers() {
        try {
            return fourLetterWord("ruok").length() > 0;
        } catch (IOException notYet) {
            return false;
        }
    }

    public String fourLetterWord(String word) throws IOException {
        return fourLetterWord(address, word);
    }

    public static String fourLetterWord(InetSocketAddress address, String word) throws IOException {
        String host = address.getAddress().isAnyLocalAddress() ? "127.0.0.1" : address.getAddress().getHostAddress();
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(host, address.getPort()), 1000);
            socket.setSoTimeout(5000);
            socket.getOutputStream().write(word.getBytes(StandardCharsets.US_ASCII));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    public boolean isAlive() {
        return process.isAlive();
    }

    private String tail() throws IOException {
        List<String> lines = Files.readAllLines(log(address));
        return String.join("\n", lines.subList(Math.max(0, lines.size() - 20), lines.size()));
    }

    private static void pause() {
        try {
            Thread.sleep(20);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Asks the server to end (SIGTERM), insists after a while, and returns when it has gone. */
    public void stop() {
        process.destroy();
        boolean interrupted = false;
        try {
            if (!process.waitFor(STOP_TIMEOUT_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            interrupted = true;
        }
        RUNNING.remove(process);
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /** Returns when the server ends by itself. */
    public void join() throws InterruptedException {
        process.waitFor();
    }
}
