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

/** The polygons of a slick, each a list of rings, each a list of points that ends as it begins; its outline is like
 * "M12,40h3v2h-3z", a path of SVG with a blank between polygons. */
function polygons(slick) {
  slick.polygons ??= slick.outline.split(" ").map((polygon) => polygon.match(/M[^M]+/g).map((ring) => {
    const points = [];
    for (const [, step, first, second] of ring.matchAll(/([Mhv])(-?\d+),?(-?\d+)?/g)) {
      const [x, y] = points.at(-1) ?? [];
      points.push(step === "M" ? [Number(first), Number(second)] : step === "h" ? [x + Number(first), y] : [x, y + Number(first)]);
    }
    return [...points, points[0]];
  }));
  return slick.polygons;
}

/** The outline as files of corrections have it. */
function wkt(slick) {
  const listed = (parts) => `(${parts.join(", ")})`;
  const texts = polygons(slick).map((rings) => listed(rings.map((ring) => listed(ring.map((point) => point.join(" "))))));
  return texts.length === 1 ? `POLYGON ${texts[0]}` : `MULTIPOLYGON ${listed(texts)}`;
}

/** Left, top, right, bottom. */
function bounds(slick) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of polygons(slick).flat(2)) {
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  }
  return [left, top, right, bottom];
}

/** Whether a point lies within: a line from it to the right crosses an odd number of edges. */
function contains(slick, x, y) {
  let within = false;
  for (const ring of polygons(slick).flat()) {
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

/** A scene by its number, as parts of one have the same name; read when it is first wanted. */
function sceneOf(number) {
  if (!loaded.has(number)) loaded.set(number, read(`scene-${number}`));
  return loaded.get(number);
}

function slickOf(scene, id) {
  return sceneOf(scene).slicks.find((slick) => slick.slick_id === id);
}
