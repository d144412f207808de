// Opens an AES-256-GCM seal with what every browser has: `jose` unwraps the content key, WebCrypto decrypts.
// Reads {jwe, key, algorithm, iv, additionalData, sealed, clear} as JSON from stdin. Ends with 0, or with 3 when it does not hold.
import { readFileSync, writeFileSync } from "node:fs";
import { base64url, compactDecrypt, generalDecrypt, importPKCS8 } from "jose";

const input = JSON.parse(readFileSync(0, "utf8"));
try {
  const privateKey = await importPKCS8(input.key, input.algorithm);
  const { plaintext, protectedHeader } = input.jwe.startsWith("{")
    ? await generalDecrypt(JSON.parse(input.jwe), privateKey)
    : await compactDecrypt(input.jwe, privateKey);
  const jwk = JSON.parse(new TextDecoder().decode(plaintext));
  const contentKey = await crypto.subtle.importKey("jwk", jwk, "AES-GCM", false, ["decrypt"]);
  const clear = await crypto.subtle.decrypt(
    {
      name: "AES-GCM",
      iv: base64url.decode(input.iv),
      additionalData: new TextEncoder().encode(input.additionalData),
    },
    contentKey,
    readFileSync(input.sealed),
  );
  writeFileSync(input.clear, new Uint8Array(clear));
  console.log(JSON.stringify({ enc: protectedHeader.enc, kty: jwk.kty, alg: jwk.alg }));
} catch (error) {
  console.error(`${error.name}: ${error.message}`);
  process.exit(3);
}
