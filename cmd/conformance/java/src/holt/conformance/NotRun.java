package holt.conformance;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Skips the tests that not-run.txt names, with the reason given there. A line is {@code suite class.method reason...}, or
 * {@code suite class reason...} for all of a class.
 */
public final class NotRun implements ExecutionCondition {
    private static final Map<String, String> REASONS = read();

    private static Map<String, String> read() {
        Map<String, String> reasons = new HashMap<>();
        String file = System.getProperty("conformance.notrun");
        if (file == null) {
            return reasons;
        }
        try {
            for (String line : Files.readAllLines(Path.of(file))) {
                String[] words = line.replaceFirst("#.*", "").trim().split("\\s+", 3);
                if (words.length == 3) {
                    reasons.put(words[1], words[2]);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return reasons;
    }

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        String reason = context.getTestClass().map(c -> REASONS.get(name(context, c))).orElse(null);
        return reason == null ? ConditionEvaluationResult.enabled(null) : ConditionEvaluationResult.disabled(reason);
    }

    private static String name(ExtensionContext context, Class<?> testClass) {
        return context.getTestMethod().map(m -> testClass.getName() + "." + m.getName()).orElse(testClass.getName());
    }
}
