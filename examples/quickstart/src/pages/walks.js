import { card } from "../components/card.js";
import { h } from "../dom.js";
import { walks } from "../walks.js";
import "./walks.css";

export function render() {
  return h("div", { className: "cards" }, walks.map(card));
}
