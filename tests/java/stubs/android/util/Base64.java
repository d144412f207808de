package android.util;

/** Stands in for Android's: its decoder skips line breaks, its encoder writes one after every 76 characters and at the end. */
public final class Base64 {

    public static final int DEFAULT = 0;

    private Base64() {}

    public static byte[] decode(String text, int flags) {
        return java.util.Base64.getMimeDecoder().decode(text);
    }

    public static byte[] decode(byte[] text, int flags) {
        return java.util.Base64.getMimeDecoder().decode(text);
    }

    public static String encodeToString(byte[] data, int flags) {
        return java.util.Base64.getMimeEncoder(76, new byte[] { '\n' }).encodeToString(data) + "\n";
    }
}
