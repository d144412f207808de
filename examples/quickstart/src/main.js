import { CapacitorUpdater } from "@capgo/capacitor-updater";
import { drawBar } from "./components/bar.js";
import { drawTabs } from "./components/tabs.js";
import { nextFrame } from "./dom.js";
import { startRouter } from "./router.js";
import "./base.css";

document.documentElement.dataset.release = String(__RELEASE__);
drawBar(document.getElementById("bar"));
drawTabs(document.getElementById("tabs"));

await startRouter(document.getElementById("page"));

// Only a page that is really on the screen vouches for this bundle. Without this call within appReadyTimeout the device
// takes the bundle for broken and goes back to the one before.
await nextFrame();
await CapacitorUpdater.notifyAppReady();
