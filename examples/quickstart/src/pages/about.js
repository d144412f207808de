import { Capacitor } from "@capacitor/core";
import { CapacitorUpdater } from "@capgo/capacitor-updater";
import { h } from "../dom.js";

async function runningBundle() {
  if (!Capacitor.isNativePlatform()) return "in a browser, without updates";
  const { bundle } = await CapacitorUpdater.current();
  return bundle.version === "builtin" ? "as installed from the store" : `version ${bundle.version}, over the air`;
}

export async function render() {
  return h(
    "section",
    { className: "about" },
    h("h1", { textContent: `Release ${__RELEASE__}` }),
    h("p", { textContent: `This app runs ${await runningBundle()}.` }),
    h("p", { textContent: "Ridgeline is a sample. The walks are invented, and so are the hills." }),
  );
}
