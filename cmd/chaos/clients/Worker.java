import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/**
 * Clients of ZooKeeper's Java library under chaos: random operations, one JSON line for each on standard output. See ../doc.go
 * and ../history.go for what the lines mean. Ends when standard input does. Run as a single source file: java Worker.java.
 */
public final class Worker implements Runnable {
    private static final Map<String, String> PLAN = new HashMap<>();
    private static volatile boolean stop;

    private final String name;
    private final Random random;
    private final Map<String, Integer> version = new HashMap<>();
    private ZooKeeper zk;
    private AtomicInteger breaks;
    private long opened;
    private int n;

    private Worker(String name, long seed) {
        this.name = name;
        this.random = new Random(seed);
    }

    public static void main(String[] args) throws Exception {
        for (int i = 0; i < args.length; i += 2) {
            PLAN.put(args[i].substring(2), args[i + 1]);
        }
        List<Thread> threads = new ArrayList<>();
        for (int i = 1; i <= number("clients"); i++) {
            Thread t = new Thread(new Worker(PLAN.get("name") + i, number("seed") + i));
            t.start();
            threads.add(t);
        }
        while (System.in.read() >= 0) {}
        stop = true;
        for (Thread t : threads) {
            t.join(30_000);
        }
        System.out.flush();
        System.exit(0);
    }

    private static long number(String key) {
        return Long.parseLong(PLAN.get(key));
    }

    @Override
    public void run() {
        try {
            open();
            while (!stop) {
                Thread.sleep(step() ? random.nextInt((int) number("pause-ms")) : 100);
            }
            zk.close();
        } catch (Exception e) {
            throw new IllegalStateException(name, e);
        }
    }

    private void open() throws Exception {
        AtomicInteger broken = new AtomicInteger();
        breaks = broken;
        version.clear();
        opened = System.nanoTime();
        zk = new ZooKeeper(PLAN.get("servers"), (int) number("timeout-ms"), new Watch(broken));
    }

    /** Notes what becomes of one session. */
    private final class Watch implements Watcher {
        private final AtomicInteger broken;
        private long had;

        Watch(AtomicInteger broken) {
            this.broken = broken;
        }

        @Override
        public void process(WatchedEvent event) {
            switch (event.getState()) {
                case Disconnected:
                    broken.incrementAndGet();
                    entry("lost").write();
                    break;
                case Expired:
                    entry("expired").write();
                    break;
                case SyncConnected:
                    if (had != 0) {
                        entry("back").write();
                        break;
                    }
                    had = zk.getSessionId();
                    entry("session").number("timeout", zk.getSessionTimeout()).write();
                    break;
                default:
            }
        }

        private Entry entry(String op) {
            long now = System.nanoTime();
            return new Entry(op).number("session", had).number("begin", now).number("end", now);
        }
    }

    /** One operation. false says that the client is not connected. */
    private boolean step() throws Exception {
        if (System.nanoTime() - opened > number("sessions-ms") * 1_000_000) {
            leave();
            return true;
        }
        n++;
        if (!zk.getState().isAlive()) { // expired: this library leaves the next session to its user
            open();
        }
        long generation = (System.nanoTime() - number("epoch")) / (number("generation-ms") * 1_000_000);
        String pair = String.format(Locale.ROOT, "/chaos/r/%04d-%d", generation, random.nextInt((int) number("pairs")));
        String path = pair + (random.nextBoolean() ? "-a" : "-b");
        String value = name + "." + n;
        int k = random.nextInt(100);
        if (k < 22) {
            return act("set", path, value, e -> set(e, -1));
        } else if (k < 32 && version.containsKey(path)) {
            return act("cas", path, value, e -> set(e, version.get(path)));
        } else if (k < 54) {
            return act("read", path, "", this::read);
        } else if (k < 74) {
            return act("get", path, "", this::get);
        } else if (k < 84) {
            return act("create", path, value, e -> create(e, CreateMode.PERSISTENT));
        } else if (k < 86) {
            return act("delete", path, "", e -> zk.delete(e.path, -1));
        } else if (k < 93) {
            return act("multi", pair, value, this::multi);
        } else if (k < 97) {
            return act("append", "/chaos/log/" + value, value, e -> create(e, CreateMode.PERSISTENT));
        } else if (k < 98) {
            return act("ephemeral", "/chaos/eph/" + value, value, e -> create(e, CreateMode.EPHEMERAL));
        }
        return act("census", "/chaos/eph", "", this::census);
    }

    private interface Call {
        void on(Entry e) throws Exception;
    }

    private boolean act(String op, String path, String value, Call call) throws InterruptedException {
        Entry e = new Entry(op).text("value", value).number("begin", System.nanoTime());
        e.path = path;
        e.value = value;
        String result = "ok";
        try {
            call.on(e);
        } catch (KeeperException x) {
            switch (x.code()) {
                case NONODE:
                    result = "nonode";
                    break;
                case NODEEXISTS:
                    result = "exists";
                    break;
                case BADVERSION:
                    result = "badversion";
                    break;
                case CONNECTIONLOSS:
                case SESSIONEXPIRED:
                case SESSIONMOVED:
                case OPERATIONTIMEOUT:
                    result = "unknown";
                    break;
                default:
                    result = "fault";
                    e.text("error", x.toString());
            }
        } catch (InterruptedException x) {
            throw x;
        } catch (Exception x) {
            result = "fault";
            e.text("error", x.toString());
        }
        e.text("path", path).number("session", zk.getSessionId()).number("end", System.nanoTime()).text("result", result).write();
        return !result.equals("unknown");
    }

    private void set(Entry e, int wanted) throws Exception {
        e.number("want", wanted);
        Stat stat = zk.setData(e.path, bytes(e.value), wanted);
        e.stat(stat);
        version.put(e.path, stat.getVersion());
    }

    private void get(Entry e) throws Exception {
        Stat stat = new Stat();
        e.text("got", new String(zk.getData(e.path, false, stat), StandardCharsets.UTF_8)).stat(stat);
        version.put(e.path, stat.getVersion());
    }

    private void read(Entry e) throws Exception {
        int before = breaks.get();
        sync(e.path);
        try {
            get(e);
        } finally {
            if (breaks.get() != before) {
                e.op = "get"; // another connection than the sync's
            }
        }
    }

    private void sync(String path) throws Exception {
        java.util.concurrent.CompletableFuture<Integer> done = new java.util.concurrent.CompletableFuture<>();
        zk.sync(path, (rc, p, ctx) -> done.complete(rc), null);
        KeeperException.Code code = KeeperException.Code.get(done.get());
        if (code != KeeperException.Code.OK) {
            throw KeeperException.create(code, path);
        }
    }

    private void create(Entry e, CreateMode mode) throws Exception {
        Stat stat = new Stat();
        zk.create(e.path, bytes(e.value), ZooDefs.Ids.OPEN_ACL_UNSAFE, mode, stat);
        e.stat(stat);
    }

    private void multi(Entry e) throws Exception {
        List<OpResult> results =
                zk.multi(List.of(Op.setData(e.path + "-a", bytes(e.value), -1), Op.setData(e.path + "-b", bytes(e.value), -1)));
        e.stat(((OpResult.SetDataResult) results.get(0)).getStat());
    }

    private void census(Entry e) throws Exception {
        int before = breaks.get();
        sync(e.path);
        List<String> names = zk.getChildren(e.path, false);
        if (breaks.get() != before) {
            throw new KeeperException.ConnectionLossException(); // no census of one moment
        }
        e.names = names;
    }

    private void leave() throws Exception {
        Entry e = new Entry("close").number("session", zk.getSessionId()).number("begin", System.nanoTime());
        zk.close(); // waits for the answer, but does not say whether there was one
        e.text("result", "unknown").number("end", System.nanoTime()).write();
        open();
    }

    private static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    /** One line; values are plain words, so that nothing needs escaping but errors. */
    private final class Entry {
        private final StringBuilder line = new StringBuilder();
        private String op;
        private String path;
        private String value;
        private List<String> names;

        Entry(String op) {
            this.op = op;
            text("client", name);
        }

        Entry text(String key, String s) {
            line.append(",\"").append(key).append("\":\"").append(s.replaceAll("[\\\\\"\\p{Cntrl}]", " ")).append('"');
            return this;
        }

        Entry number(String key, long v) {
            line.append(",\"").append(key).append("\":").append(v);
            return this;
        }

        void stat(Stat stat) {
            number("version", stat.getVersion()).number("zxid", stat.getMzxid());
        }

        void write() {
            if (names != null) {
                line.append(",\"names\":[");
                for (int i = 0; i < names.size(); i++) {
                    line.append(i == 0 ? "\"" : ",\"").append(names.get(i)).append('"');
                }
                line.append(']');
            }
            String text = "{\"op\":\"" + op + "\"" + line + "}\n";
            synchronized (System.out) {
                System.out.print(text);
                System.out.flush();
            }
        }
    }
}
