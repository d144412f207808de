import { defineConfig } from "vite";

// The second release is the same source with one switch thrown: `npm run build:v2`, or VITE_RELEASE=2 in the environment.
export default defineConfig(({ mode }) => ({
  // Relative addresses: a device serves the bundle from whatever folder it was unpacked into.
  base: "./",
  define: { __RELEASE__: mode === "v2" || process.env.VITE_RELEASE === "2" ? 2 : 1 },
  build: { target: "es2022", sourcemap: false, reportCompressedSize: false },
}));
