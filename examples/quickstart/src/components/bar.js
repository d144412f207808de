import logo from "../images/logo.svg";
import { h } from "../dom.js";

export function drawBar(target) {
  const motto = __RELEASE__ === 2 ? "Now with evening walks" : "Four walks, no signal needed";
  target.replaceChildren(
    h("img", { src: logo, alt: "", width: 36, height: 36 }),
    h("div", {}, h("strong", { textContent: "Ridgeline" }), h("small", { textContent: motto })),
  );
}
