import { h } from "../dom.js";

const tabs = [
  ["walks", "Walks"],
  ...(__RELEASE__ === 2 ? [["evening", "Evening"]] : []),
  ["map", "Map"],
  ["about", "About"],
];

export function drawTabs(target) {
  target.replaceChildren(...tabs.map(([name, label]) => h("a", { href: `#/${name}`, textContent: label })));
}
