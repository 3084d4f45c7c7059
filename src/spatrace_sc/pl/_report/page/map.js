// Maps of the slices: one canvas each, on one scale of length and one of colour.

const SENDER = "#D55E00";
const CELLS = {
  x: unpack(DATA.cells.x), y: unpack(DATA.cells.y), type: unpack(DATA.cells.type),
};
const codesOf = once((key) => {
  const [kind, k] = JSON.parse(key);
  return bytes(DATA.activities[kind].codes[k]);
});

// The chosen activity: its codes, the end of its scale, and its words. Null for cell types.
function chosenActivity() {
  const all = DATA.activities[STATE.kind];
  if (!all) return null;
  const k = all.names.indexOf(STATE.name);
  if (k < 0) return { missing: true, all };
  const codes = codesOf(JSON.stringify([STATE.kind, k]));
  const low = all.signed ? -all.tops[k] : 0;
  return { all, codes, note: all.notes[k], low, top: all.tops[k] };
}

function visibleSlices() {
  const out = [];
  DATA.cells.slices.forEach((slice, k) => {
    if (STATE.stage === "" || slice.stage === STATE.stage) out.push(k);
  });
  return out.length ? out : DATA.cells.slices.map((_, k) => k);
}

function drawMap() {
  const activity = chosenActivity(), slices = visibleSlices();
  byId("map-note").textContent = mapNote(activity);
  const room = Math.floor(byId("panels").getBoundingClientRect().width) || 340;
  const most = room < 520 ? (slices.length > 2 ? 2 : 1) : slices.length > 9 ? 4 : 3;
  const across = Math.min(slices.length, most);
  const width = Math.floor(Math.min((room - 8 * (across - 1)) / across, 720));
  const [hx, hy] = DATA.cells.half, margin = 5;
  const scale = Math.min((width - 2 * margin) / (2 * hx || 1), 640 / (2 * hy || 1));
  const height = Math.ceil(Math.max(40, 2 * hy * scale + 2 * margin));
  const left = (width - 2 * hx * scale) / 2;
  byId("panels").replaceChildren(...slices.map((k) => {
    const slice = DATA.cells.slices[k];
    const label = `${slice.title}: cells coloured by ${STATE.name || "cell type"}`;
    const canvas = element("canvas", { role: "img", "aria-label": label });
    const place = { left, margin, scale, width, height };
    drawSlice(canvas, k, activity, place);
    canvas.addEventListener("mousemove", (event) => showTip(event, canvas, k, activity, place));
    canvas.addEventListener("mouseleave", hideTip);
    const caption = element("figcaption", { title: slice.title }, slice.title);
    return element("figure", {}, canvas, caption);
  }));
  byId("panels").dataset.shown = STATE.name || "cell type";
  drawLegend(activity, scale * VIEW.zoom);
}

function mapNote(activity) {
  if (!activity) return STATE.type ? `Only cells of type ${STATE.type} are coloured.` : "";
  if (activity.missing) {
    const { names, total } = activity.all;
    if (!STATE.name) return "";
    return `The activity of ${readable(STATE.name)} is not in this file, which holds the `
      + `${names.length} strongest of ${total}.`;
  }
  const roles = STATE.sender || STATE.receiver
    ? ` Activity in ${STATE.receiver}; ${STATE.sender} sends.` : "";
  return `${readable(STATE.name)}: ${activity.note}.${roles}`;
}

// Colour of a cell, and its rank: higher ranks are drawn later.
function cellColour(i, activity) {
  const type = DATA.cells.types[CELLS.type[i]];
  if (!activity) {
    const grey = STATE.type !== "" && type !== STATE.type;
    return [grey ? DATA.colours.grey : DATA.cells.colours[CELLS.type[i]], grey ? 0 : 1];
  }
  const sends = STATE.sender !== "" && type === STATE.sender && STATE.sender !== STATE.receiver;
  if (sends) return [SENDER, 1];
  if (activity.missing) return [DATA.colours.grey, 0];
  const code = activity.codes[i];
  const outside = STATE.receiver !== "" && type !== STATE.receiver;
  if (code === MISSING || outside) return [DATA.colours.grey, 0];
  const rank = activity.all.signed ? Math.abs(code - LAST / 2) * 2 : code;
  const name = activity.all.signed ? "diverging" : "sequential";
  return [shade(name, code / LAST), 2 + rank];
}

function drawSlice(canvas, k, activity, place) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = place.width * ratio;
  canvas.height = place.height * ratio;
  canvas.style.width = `${place.width}px`;
  canvas.style.height = `${place.height}px`;
  const pen = canvas.getContext("2d"), step = DATA.cells.step * place.scale * VIEW.zoom;
  pen.scale(ratio, ratio);
  const radius = Math.max(0.7, Math.min(9, 0.55 * DATA.cells.gap * place.scale * VIEW.zoom));
  const [left, top] = zoomed(place, place.left, place.margin);
  const outside = (x, y) => x < -radius || y < -radius
    || x > place.width + radius || y > place.height + radius;
  const batches = new Map();
  for (let i = DATA.cells.starts[k]; i < DATA.cells.starts[k + 1]; i++) {
    const [colour, rank] = cellColour(i, activity), key = `${String(rank).padStart(8)} ${colour}`;
    if (!batches.has(key)) batches.set(key, []);
    batches.get(key).push(i);
  }
  for (const key of [...batches.keys()].sort()) {
    pen.fillStyle = key.slice(9);
    pen.beginPath();
    for (const i of batches.get(key)) {
      const x = left + CELLS.x[i] * step, y = top + CELLS.y[i] * step;
      if (outside(x, y)) continue;
      if (radius < 1.6) pen.rect(x - radius, y - radius, 2 * radius, 2 * radius);
      else { pen.moveTo(x + radius, y); pen.arc(x, y, radius, 0, 6.2832); }
    }
    pen.fill();
    if (activity && !activity.missing && activity.all.signed && radius > 1.6) {
      pen.strokeStyle = "#999999"; // the middle of the scale is nearly white
      pen.lineWidth = 0.4;
      pen.stroke();
    }
  }
}

function drawLegend(activity, scale) {
  const parts = [];
  if (!activity) {
    DATA.cells.types.forEach((type, k) => {
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = DATA.cells.colours[k];
      const pressed = String(STATE.type === type);
      const button = element("button", { type: "button", "aria-pressed": pressed }, swatch, type);
      button.addEventListener("click", () => {
        choose({ type: STATE.type === type ? "" : type });
        byId("legend").querySelectorAll("button")[k].focus();
      });
      parts.push(button);
    });
  } else {
    if (!activity.missing) parts.push(...activityLegend(activity));
    if (STATE.sender !== "" && STATE.sender !== STATE.receiver) {
      parts.push(legendKey(SENDER, `sender: ${STATE.sender}`));
    }
    const others = STATE.receiver ? "other cells" : "not a receiver";
    parts.push(legendKey(DATA.colours.grey, activity.missing ? "no activity" : others));
  }
  parts.push(scaleBar(scale));
  byId("legend").replaceChildren(...parts);
}

function legendKey(colour, text) {
  const swatch = element("span", { class: "swatch" });
  swatch.style.background = colour;
  return element("span", { class: "key" }, swatch, text);
}

function activityLegend(activity) {
  const name = activity.all.signed ? "diverging" : "sequential";
  const bar = element("span", { class: "bar" });
  const stops = [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1].map((s) => shade(name, s));
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  const low = (activity.all.signed ? "≤ " : "") + short(activity.low);
  const top = `≥ ${short(activity.top)}`;
  const scale = element("span", { class: "key" }, low, bar, top);
  return [scale, element("span", { class: "key" }, activity.all.unit)];
}

function scaleBar(scale) {
  const longest = 90 / scale, unit = 10 ** Math.floor(Math.log10(longest));
  const length = [5, 2, 1].find((s) => s * unit <= longest) * unit;
  const line = drawn("svg", { width: length * scale, height: 6, "aria-hidden": "true" },
    drawn("rect", { width: length * scale, height: 3, y: 2, fill: "#222" }));
  return element("span", { class: "key" }, line, `${short(length)} units of “${DATA.cells.unit}”`);
}

function showTip(event, canvas, k, activity, place) {
  const box = canvas.getBoundingClientRect(), step = DATA.cells.step * place.scale * VIEW.zoom;
  const [left, top] = zoomed(place, place.left, place.margin);
  const x = event.clientX - box.left - left, y = event.clientY - box.top - top;
  let best = -1, least = 64;
  for (let i = DATA.cells.starts[k]; i < DATA.cells.starts[k + 1]; i++) {
    const d = (CELLS.x[i] * step - x) ** 2 + (CELLS.y[i] * step - y) ** 2;
    if (d < least) { least = d; best = i; }
  }
  if (best < 0) { hideTip(); return; }
  const tip = byId("tip") || document.body.appendChild(element("div", { id: "tip" }));
  tip.textContent = DATA.cells.types[CELLS.type[best]] + tipValue(best, activity);
  tip.hidden = false;
  tip.style.left = `${Math.min(event.clientX + 12, window.innerWidth - 180)}px`;
  tip.style.top = `${event.clientY + 14}px`;
}

function tipValue(i, activity) {
  if (!activity || activity.missing) return "";
  const code = activity.codes[i];
  if (code === MISSING) return ", not a receiver";
  const value = activity.low + code * (activity.top - activity.low) / LAST;
  const end = code === LAST ? "≥ " : activity.all.signed && code === 0 ? "≤ " : "";
  return `, activity ${end}${short(value)}`;
}

function hideTip() {
  const tip = byId("tip");
  if (tip) tip.hidden = true;
}
