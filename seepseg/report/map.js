// ---- The map: a scene, its slicks, the one that is chosen ----------------------------------------------------------

const view = { scene: null, slicks: [], chosen: null, window: null }; // slicks: those that pass the filters
const model = {}; // parts of Bokeh's map by their names

const columns = (rows, fields) => Object.fromEntries(Object.entries(fields).map(([name, of]) => [name, rows.map(of)]));
const xs = (slick) => polygons(slick).map((rings) => rings.map((ring) => ring.map((point) => point[0])));
const ys = (slick) => polygons(slick).map((rings) => rings.map((ring) => ring.map((point) => point[1])));

const SLICK_FIELDS = {
  xs, ys,
  colour: (slick) => colourOf(slick.class_name),
  name: (slick) => `${slick.class_name} (${slick.slick_id})`,
  other: (slick) => slick.other_class || "nothing",
  p_slick: (slick) => number(slick.p_slick),
  p_class: (slick) => number(slick.p_class),
  overlap: (slick) => number(slick.overlap),
  area, place,
};
const SEEP_FIELDS = {
  x: (seep) => seep.x,
  y: (seep) => seep.y,
  radius: (seep) => seep.error_radius,
  marker: (seep) => (seep.kind === "platform" ? "square" : "circle"),
  size: (seep) => (seep.reported ? 8 : 6),
  fill: (seep) => (seep.reported ? "#ffd34d" : "#ffffff"),
  name: (seep) => [seep.kind, seep.seep_id, seep.class_name && `(${seep.class_name})`, seep.reported ? "" : "not sure enough to be reported"].filter(Boolean).join(" "),
  p_seep: (seep) => number(seep.p_seep),
  rate: (seep) => number(seep.recurrence_rate),
  error: (seep) => `${Math.round(seep.error_radius)} px`,
};

/** Show a scene; what was chosen in another one is let go. */
function openScene(number) {
  view.scene = sceneOf(number);
  const { box: [left, top, right, bottom], spacing, title } = view.scene;
  const address = document.getElementById(`picture-${number}`).textContent;
  model.picture.data = { url: [address], x: [left], y: [top], w: [right - left], h: [bottom - top] };
  model.scale.visible = spacing !== null;
  document.getElementById("scene-title").textContent = title;
  for (const button of document.querySelectorAll(".thumb")) {
    button.setAttribute("aria-pressed", Number(button.dataset.scene) === number);
  }
  look(view.scene.box);
  filter();
  choose(null);
}

/** Show what passes the filters, on the map and in the table. */
function filter() {
  const ticked = (name) => new Set([...document.querySelectorAll(`#filters input[name=${name}]:checked`)].map((box) => box.value));
  const [layers, classes, least] = [ticked("layer"), ticked("class"), Number(document.getElementById("least").value)];
  document.getElementById("least-shown").textContent = least.toFixed(2);
  view.slicks = view.scene.slicks.filter((slick) => layers.has(slick.kind) && (classes.has(slick.class_name) || !colours.has(slick.class_name)) &&
    (slick.p_slick === null || slick.p_slick >= least));
  for (const kind of ["annotated", "predicted"]) {
    model[kind].data = columns(view.slicks.filter((slick) => slick.kind === kind), SLICK_FIELDS);
  }
  model.seeps.data = columns(layers.has("seeps") ? view.scene.seeps : [], SEEP_FIELDS);
  fillTable();
  if (view.chosen && !view.slicks.includes(view.chosen)) choose(null);
}

/** Choose a slick, or none: outlined on the map, marked in the table, told beside. */
function choose(slick, { go = false } = {}) {
  view.chosen = slick;
  model.chosen.data = slick ? { xs: [xs(slick)], ys: [ys(slick)] } : { xs: [], ys: [] };
  if (slick && go) lookAt(slick);
  markRow();
  const panel = document.getElementById("slick");
  if (!slick) {
    panel.replaceChildren(el("h3", {}, "No slick chosen"), el("p", { class: "note" }, "Click on one on the map, or on a row of the table."));
    return;
  }
  const kind = slick.kind === "annotated" ? "predicted here" : "annotated here";
  const facts = { class: classLabel(slick.class_name), [kind]: slick.other_class ? classLabel(slick.other_class) : "nothing" };
  if (slick.kind === "predicted") Object.assign(facts, { "is a slick": number(slick.p_slick), "is of this class": number(slick.p_class) });
  Object.assign(facts, { overlap: number(slick.overlap), area: area(slick), cost: number(100 * slick.cost, 2) });
  if (slick.lon !== null) facts.place = place(slick);
  panel.replaceChildren(
    el("h3", {}, `${slick.kind} slick ${slick.slick_id}`.replace(/^./, (letter) => letter.toUpperCase())),
    el("dl", {}, ...Object.entries(facts).flatMap(([name, fact]) => [el("dt", {}, name), el("dd", {}, fact)])),
    decisionControls(view.scene, slick));
}

/** Bring the map to a slick, with what is around it. */
function lookAt(slick) {
  const [left, top, right, bottom] = bounds(slick);
  const [x, y, half] = [(left + right) / 2, (top + bottom) / 2, Math.max(right - left, bottom - top, 40)];
  look([x - half, y - half, x + half, y + half]);
}

/** Show a box as large as it fits, pixels square. */
function look(box) {
  const { inner_width: width, inner_height: height } = model.map;
  if (!width || !height) return;
  const [left, top, right, bottom] = box;
  const scale = Math.max((right - left) / width, (bottom - top) / height) / 2;
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  setWindow(x - scale * width, x + scale * width, y - scale * height, y + scale * height);
  if (box === view.scene?.box) {
    for (const range of [model.map.x_range, model.map.y_range]) [range.reset_start, range.reset_end] = [range.start, range.end];
  }
}

function setWindow(left, right, top, bottom) {
  model.map.x_range.setv({ start: left, end: right });
  model.map.y_range.setv({ start: bottom, end: top }); // rows run downwards
}

/** Move by shares of the window, or zoom about its middle. */
function move(right, down, zoom = 1) {
  const { x_range: x, y_range: y } = model.map;
  const [width, height] = [x.end - x.start, y.start - y.end];
  const [middleX, middleY] = [x.start + width * (0.5 + right), y.end + height * (0.5 + down)];
  const [halfX, halfY] = [(width * zoom) / 2, (height * zoom) / 2];
  setWindow(middleX - halfX, middleX + halfX, middleY - halfY, middleY + halfY);
}

/** The smallest slick at a place; where several lie upon each other, those beneath come with further clicks. */
function tapped(x, y) {
  const here = view.slicks.filter((slick) => contains(slick, x, y)).sort((a, b) => a.area_px - b.area_px);
  choose(here[(here.indexOf(view.chosen) + 1) % here.length] ?? null);
}

const KEYS = {
  ArrowLeft: () => move(-0.2, 0), ArrowRight: () => move(0.2, 0), ArrowUp: () => move(0, -0.2), ArrowDown: () => move(0, 0.2),
  "+": () => move(0, 0, 0.7), "-": () => move(0, 0, 1 / 0.7), 0: () => look(view.scene.box),
};

async function startMap() {
  const frame = document.getElementById("map-frame");
  await Bokeh.embed.embed_item(read("map-item"), "map-frame");
  for (const name of ["map", "scale", "metres", "picture", "predicted", "annotated", "chosen", "seeps"]) {
    model[name] = Bokeh.documents[0].get_model_by_name(name);
  }
  model.map.on_event("tap", (event) => tapped(event.x, event.y));
  model.map.x_range.change.connect(() => { // the scale bar goes by metres
    const { start, end } = model.map.x_range;
    model.metres.setv({ start: start * (view.scene.spacing ?? 1), end: end * (view.scene.spacing ?? 1) });
  });
  const resized = () => { // the frame is measured late and changes with the window: pixels stay square
    const { x_range: x, y_range: y } = model.map;
    look(view.sized ? [x.start, y.end, x.end, y.start] : view.scene.box);
    view.sized = true;
  };
  for (const side of ["inner_width", "inner_height"]) model.map.properties[side].change.connect(resized);
  frame.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  document.getElementById("zoom-in").addEventListener("click", KEYS["+"]);
  document.getElementById("zoom-out").addEventListener("click", KEYS["-"]);
  document.getElementById("whole").addEventListener("click", KEYS[0]);
  document.getElementById("filters").addEventListener("input", filter);
  document.getElementById("thumbs").addEventListener("click", (event) => {
    const button = event.target.closest(".thumb");
    if (button) openScene(Number(button.dataset.scene));
  });
  openScene(0);
}
