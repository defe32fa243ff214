import java.util.*;
import java.util.concurrent.*;
import org.apache.zookeeper.*;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.*;

/** Drives the Java client through every operation it has, against the host:port given (the capture proxy). */
public class JavaClient {
    interface Call { Object run() throws Exception; }

    static void attempt(Call c) throws Exception {
        try {
            c.run();
        } catch (KeeperException e) {
            System.out.println(e);
        }
    }

    public static void main(String[] args) throws Exception {
        Watcher w = e -> System.out.println(e);
        ZooKeeperAdmin zk = new ZooKeeperAdmin(args[0], 6000, w);
        List<ACL> open = ZooDefs.Ids.OPEN_ACL_UNSAFE;
        Stat stat = new Stat();
        zk.create("/j", "root".getBytes(), open, CreateMode.PERSISTENT);
        zk.create("/j/null", null, open, CreateMode.PERSISTENT, stat);
        zk.create("/j/empty", new byte[0], open, CreateMode.PERSISTENT);
        zk.create("/j/seq-", "s".getBytes(), open, CreateMode.PERSISTENT_SEQUENTIAL);
        zk.create("/j/eph", "e".getBytes(), open, CreateMode.EPHEMERAL);
        zk.create("/j/ephseq-", "e".getBytes(), open, CreateMode.EPHEMERAL_SEQUENTIAL, stat);
        zk.create("/j/container", "c".getBytes(), open, CreateMode.CONTAINER, stat);
        zk.create("/j/ttl", "t".getBytes(), open, CreateMode.PERSISTENT_WITH_TTL, stat, 60000);
        zk.create("/j/ttlseq-", "t".getBytes(), open, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, stat, 60000);
        attempt(() -> zk.create("/j", null, open, CreateMode.PERSISTENT));
        attempt(() -> zk.create("/j/eph/x", null, open, CreateMode.PERSISTENT));
        zk.getData("/j", w, stat);
        zk.getData("/j/null", false, stat);
        zk.getData("/j/empty", false, stat);
        attempt(() -> zk.getData("/missing", false, null));
        zk.exists("/later", w);
        zk.getChildren("/j", w);
        zk.getChildren("/j", false, stat);
        zk.setData("/j", "changed".getBytes(), -1);
        attempt(() -> zk.setData("/j", null, 77));
        zk.create("/later", null, open, CreateMode.PERSISTENT);
        zk.delete("/later", 0);
        zk.getACL("/j", stat);
        zk.addAuthInfo("digest", "user:secret".getBytes());
        zk.setACL("/j/empty", ZooDefs.Ids.CREATOR_ALL_ACL, -1);
        zk.getACL("/j/empty", stat);
        System.out.println(zk.whoAmI());
        CountDownLatch synced = new CountDownLatch(1);
        zk.sync("/j", (rc, path, ctx) -> synced.countDown(), null);
        synced.await();
        System.out.println(zk.getEphemerals("/j"));
        System.out.println(zk.getAllChildrenNumber("/j"));
        zk.multi(Arrays.asList(
            Op.check("/j", -1),
            Op.create("/j/m", "m".getBytes(), open, CreateMode.PERSISTENT),
            Op.create("/j/mc", "m".getBytes(), open, CreateMode.CONTAINER),
            Op.create("/j/mt", "m".getBytes(), open, CreateMode.PERSISTENT_WITH_TTL, 60000),
            Op.setData("/j/m", null, 0),
            Op.delete("/j/m", 1)));
        attempt(() -> zk.multi(Arrays.asList(
            Op.create("/j/m", "m".getBytes(), open, CreateMode.PERSISTENT), Op.delete("/missing", -1),
            Op.check("/j", -1))));
        zk.multi(Arrays.asList(Op.getData("/j"), Op.getChildren("/j"), Op.getData("/missing")));
        zk.multi(new ArrayList<>());
        attempt(() -> zk.reconfigure((String) null, null, "server.1=a:1:2;3", -1, stat));
        attempt(() -> { zk.getConfig(w, stat); return null; });
        zk.addWatch("/j/null", w, AddWatchMode.PERSISTENT);
        zk.addWatch("/j", w, AddWatchMode.PERSISTENT_RECURSIVE);
        zk.setData("/j/null", "x".getBytes(), -1);
        zk.getData("/j/empty", w, null);
        attempt(() -> { zk.removeWatches("/j/empty", w, Watcher.WatcherType.Data, false); return null; });
        attempt(() -> { zk.removeAllWatches("/nothing", Watcher.WatcherType.Any, false); return null; });
        zk.exists("/later", w);
        zk.getData("/j", w, null);
        zk.getChildren("/j", w);
        for (int i = 0; i < 2; i++) {
            attempt(() -> zk.exists("/cut-me", false));
            Thread.sleep(3000);
            if (i == 0) {
                zk.removeAllWatches("/j/null", Watcher.WatcherType.Persistent, false);
                zk.removeAllWatches("/j", Watcher.WatcherType.PersistentRecursive, false);
            }
        }
        zk.setData("/j", "after".getBytes(), -1);
        ExecutorService burst = Executors.newFixedThreadPool(8);
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            String path = "/j/b" + i;
            all.add(burst.submit(() -> {
                zk.create(path, path.getBytes(), open, CreateMode.PERSISTENT);
                zk.getData(path, w, null);
                zk.delete(path, -1);
                return null;
            }));
        }
        for (Future<?> f : all) {
            f.get();
        }
        burst.shutdown();
        Thread.sleep(2500);
        ZKUtil.deleteRecursive(zk, "/j");
        zk.close();
    }
}
