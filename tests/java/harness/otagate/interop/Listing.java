package otagate.interop;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collections;
import java.util.HexFormat;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipInputStream;

/**
 * Lists a zip as Java sees it, twice: by its local headers, front to back as a phone does, and by its central directory.
 *
 * <p>Argument: the zip. Standard output: one line an entry, with tabs between "stream" or "directory", path, size, SHA-256.
 */
public final class Listing {

    private Listing() {}

    public static void main(String[] arguments) throws IOException, NoSuchAlgorithmException {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        Path archive = Path.of(arguments[0]);
        try (ZipInputStream stream = new ZipInputStream(Files.newInputStream(archive))) {
            for (ZipEntry entry = stream.getNextEntry(); entry != null; entry = stream.getNextEntry()) {
                out.println(line("stream", entry, stream));
            }
        }
        try (ZipFile directory = new ZipFile(archive.toFile())) {
            for (ZipEntry entry : Collections.list(directory.entries())) {
                out.println(line("directory", entry, directory.getInputStream(entry)));
            }
        }
        out.flush();
    }

    private static String line(String walk, ZipEntry entry, InputStream content) throws IOException, NoSuchAlgorithmException {
        byte[] bytes = content.readAllBytes();
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(bytes);
        return String.join("\t", walk, entry.getName(), Integer.toString(bytes.length), HexFormat.of().formatHex(digest));
    }
}
