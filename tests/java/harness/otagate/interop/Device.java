package otagate.interop;

import ee.forgr.capacitor_updater.Logger;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Does with a downloaded bundle what a phone does: decrypts it in place, decrypts the checksum, hashes, compares.
 *
 * <p>Argument: the name of the plugin's cipher class. Standard input: one bundle a line, four fields with tabs between them:
 * file of the public key, session key, checksum, file of the bundle. Standard output: one line for each, "accepted",
 * "mismatch" or "refused: " and why.
 */
public final class Device {

    private final Class<?> cipher;

    private Device(Class<?> cipher) {
        this.cipher = cipher;
    }

    public static void main(String[] arguments) throws IOException, ReflectiveOperationException {
        Device device = new Device(Class.forName(arguments[0]));
        device.giveLogger();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(device.judge(line.split("\t", -1)));
        }
    }

    /** Only newer plugins have a logger of their own. */
    private void giveLogger() throws ReflectiveOperationException {
        for (Method method : cipher.getMethods()) {
            if (method.getName().equals("setLogger")) {
                method.invoke(null, new Logger());
            }
        }
    }

    private String judge(String[] fields) throws IOException, ReflectiveOperationException {
        String publicKey = Files.readString(Path.of(fields[0]));
        File bundle = new File(fields[3]);
        try {
            cipher.getMethod("decryptFile", File.class, String.class, String.class).invoke(null, bundle, publicKey, fields[1]);
            Object expected = cipher.getMethod("decryptChecksum", String.class, String.class).invoke(null, fields[2], publicKey);
            Object found = cipher.getMethod("calcChecksum", File.class).invoke(null, bundle);
            return expected.equals(found) ? "accepted" : "mismatch";
        } catch (InvocationTargetException failure) {
            return "refused: " + failure.getCause();
        }
    }
}
