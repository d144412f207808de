import { duration, h } from "../dom.js";

/** A walk as a picture with its name and figures, leading to its page. */
export function card(walk) {
  return h(
    "a",
    { className: "card", href: `#/walk/${walk.id}` },
    h("img", { src: walk.image, alt: "", width: 960, height: 600, loading: "lazy" }),
    h(
      "div",
      {},
      h("h2", { textContent: walk.name }),
      h("p", { textContent: `${walk.length} km · ${walk.climb} m up · ${duration(walk.minutes)}` }),
    ),
  );
}
