// ---- Elements, numbers, outlines -----------------------------------------------------------------------------------

const SVG_TAGS = new Set(["svg", "image", "path"]);

/** An element. Children that are no elements become text, so that nothing in a name is taken for HTML. */
function el(tag, attributes = {}, ...children) {
  const svg = SVG_TAGS.has(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Data that Python put into the page. */
function read(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

function number(value, digits = 2) {
  return value === null ? "–" : value.toFixed(digits);
}

function area(slick) {
  return slick.area_km2 === null ? `${slick.area_px} px` : `${Number(slick.area_km2.toPrecision(3))} km²`;
}

function place(slick) {
  if (slick.lon === null) return "–";
  const side = (degrees, positive, negative) => `${Math.abs(degrees).toFixed(4)}° ${degrees < 0 ? negative : positive}`;
  return `${side(slick.lat, "N", "S")}, ${side(slick.lon, "E", "W")}`;
}

/** Polygons, each a list of rings, each a list of points, of "POLYGON ((...))" or "MULTIPOLYGON (((...)))". */
function polygons(wkt) {
  return wkt.split(/\)\)\s*,\s*\(\(/).map((polygon) =>
    polygon.match(/[-\d.][^()]*/g).map((ring) => ring.split(",").map((point) => point.trim().split(" ").map(Number))));
}

/** The outline as the path of an SVG, whose holes are empty by the rule evenodd. */
function svgPath(wkt) {
  return polygons(wkt).flat().map((ring) => `M${ring.map((point) => point.join(" ")).join("L")}Z`).join("");
}

/** Left, top, right, bottom. */
function bounds(wkt) {
  const points = polygons(wkt).flat(2);
  const [x, y] = [0, 1].map((axis) => points.map((point) => point[axis]));
  return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
}

/** Whether a point lies within: a line from it to the right crosses an odd number of edges. */
function contains(wkt, x, y) {
  let within = false;
  for (const ring of polygons(wkt).flat()) {
    for (let i = 0; i + 1 < ring.length; i += 1) {
      const [[x0, y0], [x1, y1]] = [ring[i], ring[i + 1]];
      if (y0 > y !== y1 > y && x < x0 + ((y - y0) / (y1 - y0)) * (x1 - x0)) within = !within;
    }
  }
  return within;
}

const settings = read("settings");
const colours = new Map(settings.class_colours);
const colourOf = (name) => colours.get(name) ?? "#777777";

/** A class with its colour before it. */
function classLabel(name) {
  return name ? el("span", { class: "class" }, el("span", { class: "dot", style: `background:${colourOf(name)}` }), name) : "–";
}

const loaded = new Map();

/** A scene by its name, read when it is first wanted. */
function sceneOf(name) {
  if (!loaded.has(name)) loaded.set(name, read(`scene-${settings.scenes.indexOf(name)}`));
  return loaded.get(name);
}

function slickOf(scene, id) {
  return sceneOf(scene).slicks.find((slick) => slick.slick_id === id);
}
