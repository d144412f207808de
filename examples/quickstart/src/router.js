// Each page is its own chunk and is fetched when it is first shown.
const pages = {
  walks: () => import("./pages/walks.js"),
  walk: () => import("./pages/walk.js"),
  map: () => import("./pages/map.js"),
  about: () => import("./pages/about.js"),
};
if (__RELEASE__ === 2) {
  pages.evening = () => import("./pages/evening.js");
}

/** Split `#/walk/tarn` into the page's name and its argument; anything unknown is the list of walks. */
function where() {
  const [name, argument] = location.hash.replace(/^#\/?/, "").split("/");
  return Object.hasOwn(pages, name) ? [name, argument] : ["walks", undefined];
}

async function show(target) {
  const asked = location.hash;
  const [name, argument] = where();
  const { render } = await pages[name]();
  const content = await render(argument);
  // A quicker tap may have asked for another page in the meantime: the last one wins.
  if (asked !== location.hash) return;
  target.replaceChildren(content);
  target.dataset.page = name;
  for (const link of document.querySelectorAll("#tabs a")) {
    link.ariaCurrent = link.hash === `#/${name}` ? "page" : null;
  }
  scrollTo(0, 0);
}

/** Draw the page that the address names, now and whenever it changes. */
export async function startRouter(target) {
  addEventListener("hashchange", () => show(target));
  await show(target);
}
