package ee.forgr.capacitor_updater;

/** Stands in for the plugin's main class: older ciphers take the tag of their log lines from it. */
public final class CapacitorUpdater {

    public static final String TAG = "Capacitor-updater";

    private CapacitorUpdater() {}
}
