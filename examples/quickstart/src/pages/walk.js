import { duration, h } from "../dom.js";
import { walks } from "../walks.js";
import "./walk.css";

function fact(label, value) {
  return h("div", {}, h("dt", { textContent: label }), h("dd", { textContent: value }));
}

export function render(id) {
  const walk = walks.find((each) => each.id === id) ?? walks[0];
  return h(
    "article",
    { className: "walk" },
    h("img", { src: walk.image, alt: "", width: 960, height: 600 }),
    h("h1", { textContent: walk.name }),
    h("p", { textContent: walk.text }),
    h(
      "dl",
      {},
      fact("Length", `${walk.length} km`),
      fact("Climb", `${walk.climb} m`),
      fact("Time", duration(walk.minutes)),
      fact("Best in the", walk.best),
    ),
    h("ol", {}, walk.steps.map((step) => h("li", { textContent: step }))),
  );
}
