import { card } from "../components/card.js";
import { h } from "../dom.js";
import { walks } from "../walks.js";
import "./walks.css";

const LONGEST_EVENING = 150; // minutes

/** Only in the second release: what can still be walked after work. */
export function render() {
  return h(
    "section",
    {},
    h("h1", { textContent: "After work" }),
    h("p", { textContent: "Walks that end before dark if you set out at half past five." }),
    h("div", { className: "cards" }, walks.filter((walk) => walk.minutes <= LONGEST_EVENING).map(card)),
  );
}
