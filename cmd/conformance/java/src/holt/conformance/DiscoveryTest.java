package holt.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.RetryPolicy;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.curator.test.BaseClassForTests;
import org.apache.curator.test.KillSession;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.curator.x.discovery.details.ServiceCacheListener;
import org.apache.curator.x.discovery.strategies.RoundRobinStrategy;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Curator's service discovery, whose own tests are not published. */
public class DiscoveryTest extends BaseClassForTests {
    private static final String BASE = "/discovery";
    private static final String NAME = "service";

    /** Patient: a registration that Curator fails to renew after a lost session stays away. */
    private static final RetryPolicy RETRY = new ExponentialBackoffRetry(100, 8);

    private CuratorFramework client;
    private ServiceDiscovery<String> discovery;

    @BeforeEach
    public void connect() throws Exception {
        client = CuratorFrameworkFactory.newClient(server.getConnectString(), 20_000, 15_000, RETRY);
        start(client);
        discovery = ServiceDiscoveryBuilder.builder(String.class).client(client).basePath(BASE).build();
        discovery.start();
    }

    /**
     * Starts a client and waits until its listeners have heard of the connection: a discovery started before that removes
     * what it registered and registers it anew when it hears.
     */
    private static void start(CuratorFramework starting) throws InterruptedException {
        CountDownLatch heard = new CountDownLatch(1);
        starting.getConnectionStateListenable().addListener((c, state) -> heard.countDown());
        starting.start();
        assertTrue(heard.await(20, TimeUnit.SECONDS), "connected");
    }

    @AfterEach
    public void disconnect() throws Exception {
        discovery.close();
        client.close();
    }

    private static ServiceInstance<String> instance(int port) throws Exception {
        return ServiceInstance.<String>builder().name(NAME).address("127.0.0.1").port(port).payload("p" + port).build();
    }

    private static void await(String what, BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!condition.getAsBoolean()) {
            assertTrue(System.nanoTime() < deadline, what);
            Thread.sleep(20);
        }
    }

    private void awaitInstances(int n) throws InterruptedException {
        await(n + " instances", () -> {
            try {
                return discovery.queryForInstances(NAME).size() == n;
            } catch (Exception notYet) {
                return false;
            }
        });
    }

    @Test
    public void registeredInstanceIsFoundAndUnregisteredIsNot() throws Exception {
        ServiceInstance<String> one = instance(1001);
        discovery.registerService(one);
        assertEquals(Set.of(NAME), new HashSet<>(discovery.queryForNames()));
        assertEquals(one, discovery.queryForInstance(NAME, one.getId()));
        assertEquals("p1001", discovery.queryForInstances(NAME).iterator().next().getPayload());
        discovery.unregisterService(one);
        assertNull(discovery.queryForInstance(NAME, one.getId()));
    }

    @Test
    public void updateReplacesThePayload() throws Exception {
        ServiceInstance<String> one = instance(1001);
        discovery.registerService(one);
        discovery.updateService(
                ServiceInstance.<String>builder().name(NAME).id(one.getId()).address("127.0.0.1").port(1001).payload("new").build());
        assertEquals("new", discovery.queryForInstance(NAME, one.getId()).getPayload());
    }

    @Test
    public void instancesEndWithTheirSession() throws Exception {
        CuratorFramework other = CuratorFrameworkFactory.newClient(server.getConnectString(), RETRY);
        start(other);
        ServiceDiscovery<String> leaving = ServiceDiscoveryBuilder.builder(String.class).client(other).basePath(BASE).build();
        leaving.start();
        leaving.registerService(instance(1002));
        awaitInstances(1);
        other.close();
        awaitInstances(0);
    }

    @Test
    public void registrationComesBackAfterTheSessionExpires() throws Exception {
        ServiceInstance<String> one = instance(1001);
        discovery.registerService(one);
        CountDownLatch reconnected = new CountDownLatch(1);
        client.getConnectionStateListenable().addListener((c, state) -> {
            if (state == ConnectionState.RECONNECTED) {
                reconnected.countDown();
            }
        });
        KillSession.kill(client.getZookeeperClient().getZooKeeper());
        assertTrue(reconnected.await(20, TimeUnit.SECONDS));
        awaitInstances(1);
    }

    @Test
    public void cacheFollowsTheInstances() throws Exception {
        try (ServiceCache<String> cache = discovery.serviceCacheBuilder().name(NAME).build()) {
            CountDownLatch changed = new CountDownLatch(2);
            cache.addListener(new ServiceCacheListener() {
                @Override
                public void cacheChanged() {
                    changed.countDown();
                }

                @Override
                public void stateChanged(CuratorFramework c, ConnectionState s) {}
            });
            cache.start();
            ServiceInstance<String> one = instance(1001);
            discovery.registerService(one);
            discovery.registerService(instance(1002));
            assertTrue(changed.await(20, TimeUnit.SECONDS));
            await("two instances in the cache", () -> cache.getInstances().size() == 2);
            discovery.unregisterService(one);
            await("one instance in the cache", () -> cache.getInstances().size() == 1);
        }
    }

    @Test
    public void providerGoesRoundTheInstances() throws Exception {
        discovery.registerService(instance(1001));
        discovery.registerService(instance(1002));
        try (ServiceProvider<String> provider =
                discovery.serviceProviderBuilder().serviceName(NAME).providerStrategy(new RoundRobinStrategy<>()).build()) {
            provider.start();
            await("both instances known", () -> {
                try {
                    return provider.getAllInstances().size() == 2;
                } catch (Exception notYet) {
                    return false;
                }
            });
            Set<Integer> ports = new HashSet<>();
            for (int i = 0; i < 4; i++) {
                ServiceInstance<String> got = provider.getInstance();
                assertNotNull(got);
                ports.add(got.getPort());
            }
            assertEquals(Set.of(1001, 1002), ports);
        }
    }
}
