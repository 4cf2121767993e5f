// ---- What to look at next: cards, made when they are wanted --------------------------------------------------------

const AT_ONCE = 10;

/** The image around a slick, with outlines upon it: dashed what is annotated, filled what is predicted. */
function crop(item, kind, caption) {
  const [left, top, right, bottom] = item.box;
  const [width, height] = [right - left, bottom - top];
  const pixel = Math.max(width, height) / 220; // of the screen, or so
  const svg = el("svg", { viewBox: `${left} ${top} ${width} ${height}`, role: "img", "aria-label": caption },
    el("image", { href: item.picture, x: left, y: top, width, height, preserveAspectRatio: "none" }));
  const drawing = el("svg", { x: left, y: top, width, height, viewBox: `${left} ${top} ${width} ${height}` }); // cuts off
  svg.append(drawing);
  const path = (slick, style) => drawing.append(el("path", { d: slick.outline, fill: "none", "stroke-linejoin": "round", "fill-rule": "evenodd", ...style }));
  const around = item.around.map((id) => slickOf(item.scene, id)).filter((slick) => slick.kind === kind);
  const judged = around.find((slick) => slick.slick_id === item.slick_id);
  if (judged) path(judged, { stroke: "#ffffff", "stroke-width": 7 * pixel, "stroke-opacity": 0.9 });
  for (const slick of around) {
    const colour = colourOf(slick.class_name);
    if (kind === "annotated") {
      path(slick, { stroke: "#ffffff", "stroke-opacity": 0.75, "stroke-width": 3.5 * pixel });
      path(slick, { stroke: colour, "stroke-width": 2 * pixel, "stroke-dasharray": `${5 * pixel} ${3 * pixel}` });
    } else {
      path(slick, { stroke: colour, "stroke-width": 1.5 * pixel, fill: colour, "fill-opacity": 0.4 });
    }
  }
  const names = new Set(around.map((slick) => slick.class_name));
  return el("figure", {}, svg, el("figcaption", {}, caption, ...[...names].map(classLabel)));
}

function card(item, place) {
  const [scene, slick] = [sceneOf(item.scene), slickOf(item.scene, item.slick_id)];
  const title = el("h4", {}, `${place}. ${scene.title}, ${item.slick_id}`);
  const link = el("a", { href: "#map-panel", click: () => showOnMap(item.scene, slick) }, "on the map");
  const across = Math.max(item.box[2] - item.box[0], item.box[3] - item.box[1]);
  const scale = `image, ${across} pixels` + (scene.spacing ? `, ${((across * scene.spacing) / 1000).toPrecision(2)} km` : "");
  return el("article", { class: "panel card", "data-slick": item.slick_id, "data-scene": scene.name },
    el("div", { class: "card-head" }, title, link),
    el("div", { class: "crops" }, crop(item, null, scale), crop(item, "annotated", "annotated"), crop(item, "predicted", "predicted")),
    el("p", {}, item.text),
    decisionControls(scene, slick));
}

/** Open the scene of a slick and choose it, even where a filter hid it. */
function showOnMap(scene, slick) {
  document.getElementById("filters").reset();
  openScene(scene);
  choose(slick, { go: true });
}

function startReview(section) {
  const items = read(`review-${section.dataset.review}`);
  const cards = section.querySelector(".cards");
  const [note, button] = section.querySelectorAll(".more > *");
  const more = () => {
    const from = cards.childElementCount;
    cards.append(...items.slice(from, from + AT_ONCE).map((item, i) => card(item, from + i + 1)));
    button.hidden = cards.childElementCount === items.length;
    note.textContent = `${cards.childElementCount} of ${section.dataset.total} shown.` +
      (button.hidden && items.length < section.dataset.total ? " Judge these, and the page after the next run shows others." : "");
    if (from) cards.children[from]?.querySelector("a").focus();
  };
  button.addEventListener("click", more);
  more();
}
