package android.util;

/** Stands in for Android's log: the harness reports by itself, so nothing is kept. */
public final class Log {

    private Log() {}

    public static int i(String tag, String message) {
        return 0;
    }

    public static int e(String tag, String message) {
        return 0;
    }
}
