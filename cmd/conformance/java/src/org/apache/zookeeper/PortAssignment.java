package org.apache.zookeeper;

import holt.conformance.Ports;

/** Takes the place of the class of this name in ZooKeeper's tests jar: ports come from the range given to this JVM. */
public final class PortAssignment {
    private PortAssignment() {}

    public static synchronized int unique() {
        return Ports.free();
    }
}
