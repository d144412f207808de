// Makes an AES-256-GCM seal with `jose` and WebCrypto alone, for us to open.
// Reads {publicKeys: [{pem, algorithm}], additionalData, clear, sealed} from stdin; prints {jwe, iv}.
import { readFileSync, writeFileSync } from "node:fs";
import { base64url, CompactEncrypt, GeneralEncrypt, importSPKI } from "jose";

const input = JSON.parse(readFileSync(0, "utf8"));
const encoder = new TextEncoder();
const contentKey = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, true, ["encrypt"]);
const iv = crypto.getRandomValues(new Uint8Array(12));
const sealed = await crypto.subtle.encrypt(
  { name: "AES-GCM", iv, additionalData: encoder.encode(input.additionalData) },
  contentKey,
  readFileSync(input.clear),
);
writeFileSync(input.sealed, new Uint8Array(sealed));
const { kty, k, alg } = await crypto.subtle.exportKey("jwk", contentKey);
const plaintext = encoder.encode(JSON.stringify({ kty, k, alg }));
const keys = await Promise.all(
  input.publicKeys.map(async ({ pem, algorithm }) => ({ algorithm, key: await importSPKI(pem, algorithm) })),
);
let jwe;
if (keys.length === 1) {
  jwe = await new CompactEncrypt(plaintext)
    .setProtectedHeader({ alg: keys[0].algorithm, enc: "A256GCM" })
    .encrypt(keys[0].key);
} else {
  const general = new GeneralEncrypt(plaintext).setProtectedHeader({ enc: "A256GCM" });
  for (const { algorithm, key } of keys) {
    general.addRecipient(key).setUnprotectedHeader({ alg: algorithm });
  }
  jwe = JSON.stringify(await general.encrypt());
}
console.log(JSON.stringify({ jwe, iv: base64url.encode(iv) }));
