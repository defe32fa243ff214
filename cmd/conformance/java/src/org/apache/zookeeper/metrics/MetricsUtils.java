package org.apache.zookeeper.metrics;

import holt.conformance.ServerProcess;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;

/**
 * Takes the place of the class of this name in ZooKeeper's tests jar: the metrics of the server are those that the external one
 * shows through {@code mntr}, by their names without {@code zk_}.
 */
public abstract class MetricsUtils {
    private MetricsUtils() {}

    public static Map<String, Object> collect(MetricsProvider provider) {
        Map<String, Object> metrics = new HashMap<>();
        provider.dump(metrics::put);
        return metrics;
    }

    public static Map<String, Object> currentServerMetrics() {
        Map<String, Object> metrics = new HashMap<>();
        try {
            for (String line : ServerProcess.latest().fourLetterWord("mntr").split("\n")) {
                String[] pair = line.split("\t", 2);
                if (pair.length == 2) {
                    metrics.put(pair[0].replaceFirst("^zk_", ""), number(pair[1].trim()));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return metrics;
    }

    private static Object number(String text) {
        try {
            return Long.valueOf(text);
        } catch (NumberFormatException notWhole) {
            try {
                return Double.valueOf(text);
            } catch (NumberFormatException notANumber) {
                return text;
            }
        }
    }
}
