// ---- Decisions: one store for the map and the cards, and the file of corrections ----------------------------------

const COLUMNS = ["scene", "kind", "decision", "class_name", "outline"];
const decisions = new Map(); // rows of the file by scene and slick
let unsaved = 0;
const takenBack = new Set(); // keys of those that the file saved last holds
let fieldsets = 0; // makes names of radio buttons that differ from place to place

const keyOf = (scene, slick) => JSON.stringify([scene.name, slick.slick_id]);
const fileName = () => settings.corrections_file.split("/").pop() || "corrections.csv";

/** What each decision means for this slick, in words. The file means: "right" is that the slick that was judged is of
 * its class, be it predicted or annotated; "wrong", that it is none, and then what was annotated there goes, but what
 * was predicted there changes nothing. */
function choices(slick) {
  const { kind, class_name: name, other_class: other } = slick;
  if (kind === "annotated" && other && other !== name) {
    return { right: `Annotation is right: leave ${name}`, wrong: "Both wrong: no slick here, remove it", other_class: "Another class:" };
  }
  if (kind === "annotated") {
    return { right: `Right: it is ${name}`, wrong: "Wrong: no slick here, remove it", other_class: "A slick, but another class:" };
  }
  if (!other) {
    return { right: `Right: it is a slick, ${name}`, wrong: "Wrong: it is none", other_class: "A slick, but another class:" };
  }
  if (other === name) {
    return { right: `Annotate ${name} in all of this outline`, wrong: "Leave the annotation as it is", other_class: "Another class than both:" };
  }
  return {
    right: `Prediction is right: annotate ${name}`,
    wrong: `Annotation is right: leave ${other}`,
    other_class: "Neither, another class:",
  };
}

/** The decision on a slick that the file of corrections holds or will hold, in words; empty without one. */
function decisionText(scene, slick) {
  const row = decisions.get(keyOf(scene, slick));
  if (!row) return slick.decision ? `${slick.decision.replace("_", " ")} (earlier)` : "";
  return row.decision === "other_class" ? `other class: ${row.class_name}` : row.decision;
}

/** Radio buttons for a slick, which stay alike wherever the same slick is shown; none where nothing can be corrected. */
function decisionControls(scene, slick) {
  if (!scene.correctable) {
    return el("p", { class: "note" }, "It can't be corrected here: not all tiles of this scene have a place of their own in its grid (data.grid_columns).");
  }
  const name = `decision-${(fieldsets += 1)}`;
  const fieldset = el("fieldset", { class: "decide" }, el("legend", {}, "Your decision"));
  fieldset.dataset.key = keyOf(scene, slick);
  const others = settings.class_colours.map(([name]) => name).filter((other) => other !== slick.class_name);
  const classes = el("select", { "aria-label": "The class that is right", change: () => pick("other_class") },
    el("option", { value: "" }, "choose …"),
    ...others.map((other) => el("option", { value: other }, other)));
  if (slick.kind === "annotated" && slick.other_class !== slick.class_name) classes.value = slick.other_class; // the likeliest
  const pick = (decision) => decide(scene, slick, decision, decision === "other_class" ? classes.value : slick.class_name);
  for (const [value, words] of Object.entries(choices(slick))) {
    if (value === "other_class" && !others.length) continue;
    const radio = el("input", { type: "radio", name, value, change: () => pick(value) });
    fieldset.append(el("div", { class: "choice" }, el("label", {}, radio, words), value === "other_class" ? classes : ""));
  }
  fieldset.append(el("button", { type: "button", class: "quiet undo", click: () => decide(scene, slick, null) }, "Take back"));
  if (slick.decision) fieldset.append(el("p", { class: "note" }, `Judged before: ${slick.decision.replace("_", " ")}.`));
  fieldset.show = () => {
    const row = decisions.get(fieldset.dataset.key);
    const wanted = row?.decision ?? (fieldset.pending ? "other_class" : null);
    for (const radio of fieldset.querySelectorAll("input")) radio.checked = radio.value === wanted;
    if (row?.decision === "other_class") classes.value = row.class_name;
    fieldset.querySelector(".undo").hidden = !wanted;
    fieldset.classList.toggle("unfinished", !row && Boolean(fieldset.pending));
  };
  fieldset.show();
  return fieldset;
}

/** Note a decision, or take it back with null. Another class counts once it is named. */
function decide(scene, slick, decision, className = "") {
  const key = keyOf(scene, slick);
  const finished = decision && (decision !== "other_class" || className);
  const had = decisions.get(key);
  decisions.delete(key); // so that the latest one comes last
  if (finished) takenBack.delete(key);
  else if (had && !had.unsaved) takenBack.add(key);
  if (finished) {
    const name = decision === "wrong" ? "" : className;
    decisions.set(key, { scene: scene.name, kind: slick.kind, decision, class_name: name, outline: wkt(slick), unsaved: true });
  }
  for (const fieldset of document.querySelectorAll(".decide")) {
    if (fieldset.dataset.key !== key) continue;
    fieldset.pending = decision === "other_class" && !finished;
    fieldset.show();
  }
  if (had || finished) document.dispatchEvent(new CustomEvent("decided", { detail: slick }));
  count();
}

/** Tell how many decisions are not saved yet. */
function count() {
  unsaved = [...decisions.values()].filter((row) => row.unsaved).length + takenBack.size;
  const many = (n) => (n === 1 ? "1 decision" : `${n} decisions`);
  const open = new Set([...document.querySelectorAll(".decide.unfinished")].map((each) => each.dataset.key)).size;
  const earlier = settings.corrections.length;
  const saved = decisions.size ? "all decisions saved" : earlier ? `${many(earlier)} from before` : "no decisions yet";
  document.getElementById("count").textContent =
    (unsaved ? `${many(unsaved)}, not saved yet` : saved) + (open ? `; ${open} without a class` : "");
  if (unsaved) document.getElementById("saved").hidden = true; // it tells of what was saved before
  document.getElementById("save").disabled = decisions.size + takenBack.size === 0;
}

/** The rows of the file: those of data.corrections, each replaced where the same slick was judged anew. */
function corrections() {
  const slick = (row) => JSON.stringify([row.scene, row.kind, row.outline]);
  const anew = new Set([...decisions.values()].map(slick));
  return [...settings.corrections.filter((row) => !anew.has(slick(row))), ...decisions.values()];
}

function csv(rows) {
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [COLUMNS, ...rows.map((row) => COLUMNS.map((column) => row[column]))]
    .map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
}

/** Give the file to the browser, which keeps it among its downloads. */
function save() {
  const rows = corrections();
  const link = el("a", { download: fileName(), href: URL.createObjectURL(new Blob([csv(rows)], { type: "text/csv" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000); // a slow browser may still read it
  for (const row of decisions.values()) row.unsaved = false;
  takenBack.clear();
  count();
  const before = rows.length - decisions.size;
  const saved = document.getElementById("saved");
  const goal = settings.corrections_file ? `Put it at ${settings.corrections_file}` : "Name it in data.corrections";
  saved.textContent = `Saved as ${fileName()} among your downloads: ${decisions.size} of this page` +
    `${before ? ` and ${before} earlier` : ""}. ${goal} and run dvc repro: they are applied, and the page is written anew.`;
  saved.hidden = false;
}

function startDecisions() {
  document.getElementById("save").addEventListener("click", save);
  window.addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
  count();
}
