package holt.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.test.ClientBase;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;

/**
 * What ZooKeeper's CreateContainerTest and CreateTTLTest check by driving the server's ContainerManager by hand, checked from
 * outside: a server that looks for empty containers and expired TTL nodes many times a second.
 */
public class ReapTest extends ClientBase {
    private static final byte[] NOTHING = new byte[0];
    private static final long CHECK_INTERVAL_MS = 100;

    /** Time in which several checks pass. */
    private static final long SEVERAL_CHECKS_MS = 10 * CHECK_INTERVAL_MS;

    private ZooKeeper zk;

    /** Runs in place of the base class's, which cannot see which test it is. */
    @Override
    public void setUp() {}

    @BeforeEach
    public void setUp(TestInfo test) throws Exception {
        System.setProperty("znode.container.checkIntervalMs", Long.toString(CHECK_INTERVAL_MS));
        System.setProperty("zookeeper.extendedTypesEnabled", Boolean.toString(!test.getTags().contains("noTtl")));
        super.setUp();
        zk = createClient();
    }

    @AfterEach
    @Override
    public void tearDown() throws Exception {
        System.clearProperty("znode.container.checkIntervalMs");
        System.clearProperty("zookeeper.extendedTypesEnabled");
        super.tearDown();
    }

    private void container(String path) throws Exception {
        zk.create(path, NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
    }

    private void node(String path) throws Exception {
        zk.create(path, NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    private String ttlNode(String path, CreateMode mode, long ttlMs) throws Exception {
        return zk.create(path, NOTHING, Ids.OPEN_ACL_UNSAFE, mode, new Stat(), ttlMs);
    }

    private void awaitGone(String path) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
        while (zk.exists(path, false) != null && System.nanoTime() < deadline) {
            Thread.sleep(CHECK_INTERVAL_MS / 4);
        }
        assertNull(zk.exists(path, false), path + " should have been removed by the server");
    }

    private void assertStays(String path) throws Exception {
        Thread.sleep(SEVERAL_CHECKS_MS);
        assertNotNull(zk.exists(path, false), path + " should have stayed");
    }

    @Test
    public void emptiedContainerGoes() throws Exception {
        container("/c");
        node("/c/child");
        zk.delete("/c/child", -1);
        awaitGone("/c");
    }

    @Test
    public void containerThatNeverHadChildrenStays() throws Exception {
        container("/c");
        assertStays("/c");
    }

    @Test
    public void containerWithChildStays() throws Exception {
        container("/c");
        node("/c/a");
        node("/c/b");
        zk.delete("/c/a", -1);
        assertStays("/c");
    }

    @Test
    public void nestedContainersGoOneAfterTheOther() throws Exception {
        container("/c");
        container("/c/d");
        node("/c/d/child");
        zk.delete("/c/d/child", -1);
        awaitGone("/c");
    }

    @Test
    public void containerEmptiedInItsOwnMultiGoes() throws Exception {
        zk.multi(Arrays.asList(
                Op.create("/c", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
                Op.create("/c/child", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.delete("/c/child", -1)));
        awaitGone("/c");
    }

    @Test
    public void removalOfContainerIsSeenByWatches() throws Exception {
        container("/c");
        node("/c/child");
        var gone = new java.util.concurrent.CountDownLatch(1);
        zk.exists("/c", event -> {
            if (event.getType() == org.apache.zookeeper.Watcher.Event.EventType.NodeDeleted) {
                gone.countDown();
            }
        });
        zk.delete("/c/child", -1);
        assertEquals(true, gone.await(15, TimeUnit.SECONDS), "no NodeDeleted event for the container");
    }

    @Test
    public void containersSurviveARestart() throws Exception {
        container("/c");
        node("/c/child");
        stopServer();
        startServer();
        zk.close();
        zk = createClient();
        assertNotNull(zk.exists("/c", false));
        zk.delete("/c/child", -1);
        awaitGone("/c");
    }

    @Test
    public void containerHidesItsOwner() throws Exception {
        container("/c");
        assertEquals(0, zk.exists("/c", false).getEphemeralOwner());
    }

    @Test
    public void ttlNodeGoes() throws Exception {
        ttlNode("/t", CreateMode.PERSISTENT_WITH_TTL, 300);
        assertNotNull(zk.exists("/t", false));
        assertEquals(0, zk.exists("/t", false).getEphemeralOwner());
        awaitGone("/t");
    }

    @Test
    public void sequentialTtlNodeGoes() throws Exception {
        String path = ttlNode("/t-", CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, 300);
        assertEquals("/t-0000000000", path);
        awaitGone(path);
    }

    @Test
    public void ttlNodeInMultiGoes() throws Exception {
        zk.multi(List.of(Op.create("/t", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 300)));
        awaitGone("/t");
    }

    @Test
    public void writingStartsTheTtlAnew() throws Exception {
        ttlNode("/t", CreateMode.PERSISTENT_WITH_TTL, 3000);
        for (int i = 0; i < 9; i++) {
            Thread.sleep(500);
            zk.setData("/t", new byte[i], -1);
        }
        assertNotNull(zk.exists("/t", false), "written less than its TTL ago");
        awaitGone("/t");
    }

    @Test
    public void ttlNodeWithChildStaysUntilTheChildGoes() throws Exception {
        ttlNode("/t", CreateMode.PERSISTENT_WITH_TTL, 200);
        node("/t/child");
        assertStays("/t");
        zk.delete("/t/child", -1);
        awaitGone("/t");
    }

    @Test
    @org.junit.jupiter.api.Tag("noTtl")
    public void ttlIsUnimplementedWhenSwitchedOff() {
        assertThrows(KeeperException.UnimplementedException.class, () -> ttlNode("/t", CreateMode.PERSISTENT_WITH_TTL, 300));
    }
}
