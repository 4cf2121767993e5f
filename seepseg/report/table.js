// ---- The table of slicks beneath the map ---------------------------------------------------------------------------

const HEADS = [ // text above, value to sort by, what is shown, whether the largest comes first
  ["slick", (slick) => slick.kind[0] + slick.slick_id.slice(1).padStart(9, "0"), (slick) => `${slick.kind} ${slick.slick_id}`, false],
  ["class", (slick) => slick.class_name, (slick) => classLabel(slick.class_name), false],
  ["other side", (slick) => slick.other_class || null, (slick) => classLabel(slick.other_class), false],
  ["p_slick", (slick) => slick.p_slick, (slick) => number(slick.p_slick), true],
  ["p_class", (slick) => slick.p_class, (slick) => number(slick.p_class), true],
  ["overlap", (slick) => slick.overlap, (slick) => number(slick.overlap), true],
  ["area", (slick) => slick.area_px, area, true],
  ["cost", (slick) => slick.cost, (slick) => number(100 * slick.cost, 2), true],
  ["decision", (slick) => decisionText(view.scene, slick) || null, (slick) => decisionText(view.scene, slick), false],
];
const order = { column: 7, down: true };
const rows = new Map(); // by slick
const table = document.getElementById("slicks");

/** Write the rows of what passes the filters, sorted; what has no value comes last either way. */
function fillTable() {
  const value = HEADS[order.column][1];
  const sorted = [...view.slicks].sort((a, b) => {
    const [p, q] = [value(a), value(b)];
    if (p === null || q === null) return (p === null) - (q === null);
    return (p < q ? -1 : p > q ? 1 : 0) * (order.down ? -1 : 1);
  });
  rows.clear();
  for (const slick of sorted) {
    const cells = HEADS.map(([, , shown], i) => el("td", { role: "gridcell", class: i > 2 && i < 8 ? "number" : null }, shown(slick)));
    const row = el("tr", { tabindex: -1, "data-slick": slick.slick_id }, ...cells);
    row.slick = slick;
    rows.set(slick, row);
  }
  table.tBodies[0].replaceChildren(...rows.values());
  document.getElementById("rows-shown").textContent = `${rows.size} of ${view.scene.slicks.length} slicks.`;
  markRow();
}

/** Mark the chosen row, and let the tabulator key reach it, or else the first one. */
function markRow() {
  for (const [slick, row] of rows) {
    row.setAttribute("aria-selected", slick === view.chosen);
    row.tabIndex = -1;
  }
  const row = rows.get(view.chosen);
  const reached = row ?? table.tBodies[0].rows[0];
  if (reached) reached.tabIndex = 0;
  if (row) scrollWithin(document.getElementById("table-frame"), row);
}

/** Bring a row into the frame of the table without moving the page. */
function scrollWithin(frame, row) {
  const head = table.tHead.offsetHeight;
  if (row.offsetTop - head < frame.scrollTop) frame.scrollTop = row.offsetTop - head;
  const end = row.offsetTop + row.offsetHeight - frame.clientHeight;
  if (end > frame.scrollTop) frame.scrollTop = end;
}

function sortBy(column) {
  order.down = order.column === column ? !order.down : HEADS[column][3];
  order.column = column;
  showOrder();
  fillTable();
}

function showOrder() {
  [...table.tHead.rows[0].cells].forEach((cell, i) => {
    cell.setAttribute("aria-sort", i !== order.column ? "none" : order.down ? "descending" : "ascending");
  });
}

function startTable() {
  table.tHead.append(el("tr", {}, ...HEADS.map(([head], i) =>
    el("th", { scope: "col", class: i > 2 && i < 8 ? "number" : null }, el("button", { type: "button", click: () => sortBy(i) }, head)))));
  showOrder();
  const pick = (row) => {
    choose(row.slick, { go: true });
    row.focus({ preventScroll: true });
  };
  table.tBodies[0].addEventListener("click", (event) => pick(event.target.closest("tr")));
  table.tBodies[0].addEventListener("keydown", (event) => {
    const row = event.target.closest("tr");
    const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Enter: row, " ": row }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    if (next) pick(next);
  });
  document.addEventListener("decided", ({ detail: slick }) => { // the row stays where it is until it is sorted anew
    const row = rows.get(slick);
    if (row) row.lastElementChild.textContent = decisionText(view.scene, slick);
  });
}
