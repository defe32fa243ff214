package holt.conformance;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;

/**
 * Hands out loopback ports of one range, {@code conformance.ports=first-last}. The range belongs to this JVM alone, so
 * that test classes can run side by side; it is walked round, and a port that somebody holds is passed over.
 */
public final class Ports {
    private static final int FIRST;
    private static final int LAST;
    private static int next;

    static {
        String[] range = System.getProperty("conformance.ports", "21800-21999").split("-");
        FIRST = Integer.parseInt(range[0]);
        LAST = Integer.parseInt(range[1]);
        next = FIRST;
    }

    private Ports() {}

    public static synchronized int free() {
        for (int tried = FIRST; tried <= LAST; tried++) {
            int port = next;
            next = port == LAST ? FIRST : port + 1;
            if (isFree(port)) {
                return port;
            }
        }
        throw new IllegalStateException("all ports " + FIRST + "-" + LAST + " are taken; give another range with --port-base");
    }

    private static boolean isFree(int port) {
        try (ServerSocket socket = new ServerSocket()) {
            socket.setReuseAddress(true);
            socket.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
            return true;
        } catch (IOException taken) {
            return false;
        }
    }
}
