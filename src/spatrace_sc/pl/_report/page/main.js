// Choices of the reader, and the first drawing.

const KINDS = { types: "Cell type", lr_pairs: "Pair", tfs: "TF", modules: "Module" };

function namesOf(kind) {
  return kind === "types" ? DATA.cells.types : DATA.activities[kind].names;
}

// Change the state and draw every view.
function choose(change) {
  const before = STATE.kind;
  Object.assign(STATE, change);
  if (STATE.kind !== before) drawSuggestions();
  byId("kind").value = STATE.kind;
  byId("name").value = STATE.kind === "types" ? STATE.type : STATE.name;
  byId("stage").value = STATE.stage;
  byId("status").textContent = "";
  byId("chosen").textContent = "";
  drawAll();
}

function drawAll() {
  drawMap();
  drawNetwork();
  drawMatrix();
  drawTable();
}

function drawSuggestions() {
  const names = namesOf(STATE.kind);
  byId("names").replaceChildren(...names.map((name) => element("option", { value: name })));
  byId("name").placeholder = `${names.length} to choose from`;
}

function chooseKind(kind) {
  const nothing = { type: "", target: "", tf: "", sender: "", receiver: "" };
  choose({ ...nothing, kind, name: kind === "types" ? "" : namesOf(kind)[0] || "" });
}

// Choose by a name as it was typed; a part of a name is enough if only one holds it.
function chooseName(typed) {
  const names = namesOf(STATE.kind), text = typed.trim().replace(" → ", "^").toLowerCase();
  const exact = names.filter((name) => name.toLowerCase() === text);
  const close = names.filter((name) => name.toLowerCase().includes(text));
  const [name] = exact.length ? exact : close.length === 1 ? close : [undefined];
  const nothing = { target: "", tf: "", sender: "", receiver: "" };
  if (text === "") {
    if (STATE.kind === "types") choose({ type: "" });
    else choose({});
  } else if (name === undefined) {
    byId("status").textContent = close.length
      ? `${close.length} names contain “${typed}”: ${close.slice(0, 4).join(", ")}`
        + (close.length > 4 ? ", …" : ".")
      : `No ${KINDS[STATE.kind]} in this file is named “${typed}”.`;
  } else {
    choose(STATE.kind === "types" ? { type: name } : { ...nothing, name });
  }
}

function connect() {
  const kinds = Object.keys(KINDS).filter((kind) => namesOf(kind).length);
  byId("kind").replaceChildren(...kinds.map((k) => element("option", { value: k }, KINDS[k])));
  const stages = DATA.stages.length > 1 ? DATA.stages : [];
  byId("stage").replaceChildren(element("option", { value: "" }, "all"),
    ...stages.map((stage) => element("option", { value: stage }, stage)));
  byId("stage-word").textContent = DATA.stage_word === "slice" ? "Slice" : "Stage";
  byId("stage").parentElement.hidden = !stages.length;
  byId("kind").addEventListener("change", (event) => chooseKind(event.target.value));
  byId("stage").addEventListener("change", (event) => choose({ stage: event.target.value }));
  byId("reset").addEventListener("click", () => { chooseKind("types"); });
  const name = byId("name");
  name.addEventListener("focus", () => { name.value = ""; });
  name.addEventListener("blur", () => {
    if (name.value === "") name.value = STATE.kind === "types" ? STATE.type : STATE.name;
  });
  name.addEventListener("change", () => chooseName(name.value));
  const filters = () => {
    const q = byId("max-q").value;
    const maxQ = q === "" || Number.isNaN(Number(q)) ? 1 : Number(q);
    Object.assign(TABLE, { text: byId("filter").value, maxQ, page: 0,
      every: byId("every-column").checked });
    drawTable();
  };
  for (const id of ["filter", "max-q", "every-column"]) byId(id).addEventListener("input", filters);
  byId("previous").addEventListener("click", () => { TABLE.page -= 1; drawTable(); });
  byId("next").addEventListener("click", () => { TABLE.page += 1; drawTable(); });
  byId("download").addEventListener("click", download);
  let width = window.innerWidth, timer = 0;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAll, 150);
  });
}

function listed(id, rows) {
  byId(id).replaceChildren(...rows.flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, value)]));
}

function drawAbout() {
  byId("notes").replaceChildren(...DATA.about.notes.map(([head, text]) =>
    element("div", {}, element("h3", {}, head), element("p", {}, text))));
  listed("counts", DATA.about.counts);
  listed("versions", DATA.about.versions);
  listed("parameters", DATA.about.parameters);
}

connect();
drawTabs();
drawSuggestions();
drawAbout();
connectZoom();
drawAll();
document.documentElement.dataset.ready = String(Math.round(performance.now()));
