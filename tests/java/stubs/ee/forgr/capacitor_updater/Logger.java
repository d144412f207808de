package ee.forgr.capacitor_updater;

/** Stands in for the plugin's logger, for the methods that its cipher calls. */
public final class Logger {

    public void info(String message) {}

    public void debug(String message) {}

    public void warn(String message) {}

    public void error(String message) {}
}
