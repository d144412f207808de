import { h } from "../dom.js";
import contours from "../images/contours.png";
import { walks } from "../walks.js";
import "./map.css";

// Where each walk begins, in percent of the map's width and height.
const starts = { harbour: [30, 73], heath: [44, 47], tarn: [14, 40], summit: [86, 25] };

export function render() {
  return h(
    "figure",
    { className: "map" },
    h("img", { src: contours, alt: "Contour map of the four walks", width: 640, height: 640 }),
    walks.map((walk) => {
      const [left, top] = starts[walk.id];
      const pin = h("a", { href: `#/walk/${walk.id}`, textContent: walk.name });
      pin.style.left = `${left}%`;
      pin.style.top = `${top}%`;
      return pin;
    }),
  );
}
