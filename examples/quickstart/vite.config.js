import { defineConfig } from "vite";

// The second release is the same source with one switch thrown: `npm run build:v2`, or VITE_RELEASE=2 in the environment.
export default defineConfig(({ mode }) => ({
  // Relative addresses: a device serves the bundle from whatever folder it was unpacked into.
  base: "./",
  define: { __RELEASE__: mode === "v2" || process.env.VITE_RELEASE === "2" ? 2 : 1 },
  build: {
    target: "es2022",
    sourcemap: false,
    reportCompressedSize: false,
    // Nothing is inlined: every picture stays a file of its own, which a device that has it need not fetch again. Besides, a
    // picture that the page and a script both use would sometimes be inlined and sometimes not: other bytes from build to build.
    assetsInlineLimit: 0,
  },
}));
