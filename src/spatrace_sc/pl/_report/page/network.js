// The network around what is chosen, and the matrix of senders and receivers.

const MOST_TFS = 6, MOST_TARGETS = 10;

// Rows of a table in which text columns have these values.
function rowsWhere(t, wanted) {
  const tests = [];
  for (const name in wanted) {
    const code = t.by[name].names.indexOf(wanted[name]);
    if (code < 0) return [];
    tests.push([t.by[name].codes, code]);
  }
  const out = [];
  for (let i = 0; i < t.n; i++) if (tests.every(([codes, code]) => codes[i] === code)) out.push(i);
  return out;
}

function pairGenes(name) {
  const cut = name.indexOf("^");
  return { ligand: name.slice(0, cut), receptor: name.slice(cut + 1) };
}

// Edges {from, to, effect, q} of one table.
function edges(name, wanted, from, to) {
  const t = table(name);
  return t.n === 0 ? [] : rowsWhere(t, wanted).map((i) => ({
    from: from(t, i), to: to(t, i), q: t.by.q_value.at(i),
    effect: valueAt(name, "effect", i, STATE.stage),
  }));
}

const pairOf = (t, i) => `${t.by.ligand.at(i)}^${t.by.receptor.at(i)}`;
const tfOf = (t, i) => t.by.tf.at(i);
const targetOf = (t, i) => t.by.target.at(i);

// Significant edges first, then the strongest; the wanted name is always kept.
function strongest(list, end, n, wanted) {
  const rank = (e) => [e[end] === wanted ? 0 : 1, significant(e.q) ? 0 : 1, -Math.abs(e.effect)];
  const ranked = list.map((e) => [rank(e), e]);
  ranked.sort(([a], [b]) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  return ranked.slice(0, n).map(([, e]) => e);
}

// Layers of names, edges between them, and how much was left out.
function networkOfPair() {
  const genes = pairGenes(STATE.name);
  const onTfs = strongest(edges("lr_tfs", genes, pairOf, tfOf), "to", MOST_TFS, STATE.tf);
  const direct = edges("lr_targets", genes, pairOf, targetOf);
  const further = onTfs.flatMap((e) => edges("tf_targets", { tf: e.to }, tfOf, targetOf));
  const size = new Map(), through = new Map(onTfs.map((e) => [e.to, e]));
  const add = (name, value, sure) =>
    size.set(name, (size.get(name) || 0) + Math.abs(value) + (sure ? 1e3 : 0));
  for (const e of direct) add(e.to, e.effect, significant(e.q));
  for (const e of further) {
    const first = through.get(e.from);
    add(e.to, e.effect * first.effect, significant(e.q) && significant(first.q));
  }
  if (STATE.target) add(STATE.target, 1e9, true);
  const ranked = [...size].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const targets = ranked.slice(0, MOST_TARGETS), kept = new Set(targets);
  const ends = [...direct, ...further].filter((e) => kept.has(e.to));
  const layers = [[STATE.name], onTfs.map((e) => e.to), targets];
  const heads = ["pair", "TFs", "targets"];
  return { heads, layers, list: [...onTfs, ...ends], all: ranked.length };
}

function networkOfTf() {
  const pairs = strongest(edges("lr_tfs", { tf: STATE.name }, pairOf, tfOf), "from", 8, "");
  const every = edges("tf_targets", { tf: STATE.name }, tfOf, targetOf);
  const ends = strongest(every, "to", 12, STATE.target);
  const layers = [pairs.map((e) => e.from), [STATE.name], ends.map((e) => e.to)];
  const heads = ["pairs", "TF", "targets"];
  return { heads, layers, list: [...pairs, ...ends], all: every.length };
}

function networkOfModule() {
  const pairs = moduleTable("pairs"), targets = moduleTable("targets");
  const ofModule = { module: STATE.name };
  const left = rowsWhere(pairs, ofModule).slice(0, 10).map((i) => ({
    from: pairOf(pairs, i), to: STATE.name, effect: pairs.by.weight.at(i), q: 1, plain: true,
  }));
  const every = rowsWhere(targets, ofModule);
  const right = every.slice(0, 12).map((i) => ({
    from: STATE.name, to: targetOf(targets, i), effect: targets.by.effect.at(i), q: 1,
  }));
  const layers = [left.map((e) => e.from), [STATE.name], right.map((e) => e.to)];
  return { heads: ["main pairs", "module", "targets"], layers, list: [...left, ...right],
    all: every.length };
}

function drawNetwork() {
  const of = { lr_pairs: networkOfPair, tfs: networkOfTf, modules: networkOfModule }[STATE.kind];
  const note = byId("network-note"), figure = byId("network-figure");
  if (!of || !STATE.name) {
    note.textContent = "Choose a pair, a TF or a module, or click a row of a table.";
    figure.replaceChildren();
    return;
  }
  const net = of();
  if (!net.list.length) {
    note.textContent = `No effect of ${readable(STATE.name)} is in the tables of this file.`;
    figure.replaceChildren();
    return;
  }
  const shown = net.layers[2].length, some = net.all > shown ? ` of ${net.all}` : "";
  const dots = STATE.kind === "modules" ? "" : ` A dot marks q ≤ ${DATA.threshold}.`;
  note.textContent = `Vermilion raises, blue lowers; the width is the size of the effect`
    + `${stageText()}.${dots} ${shown}${some} target${net.all === 1 ? "" : "s"} shown.`;
  figure.replaceChildren(networkSvg(net, Math.max(300, figure.clientWidth || 340)));
}

function networkSvg(net, width) {
  const row = 26, rows = Math.max(...net.layers.map((l) => l.length)), height = 30 + row * rows;
  // layers of pairs have longer names; what the boxes leave is shared by the two gaps
  const boxes = net.layers.map((names) => (names.some((n) => n.includes("^") || n.includes(" "))
    ? Math.min(200, width * 0.33) : Math.min(130, width * 0.21)));
  const gap = (width - 2 - boxes[0] - boxes[1] - boxes[2]) / 2, place = new Map();
  const lefts = [1, 1 + boxes[0] + gap, width - 1 - boxes[2]];
  net.layers.forEach((names, k) => names.forEach((name, i) => {
    const y = 30 + row * ((rows - names.length) / 2 + i + 0.5);
    place.set(`${k} ${name}`, { x: lefts[k], y, box: boxes[k] });
  }));
  const svg = drawn("svg", { width, height, role: "group",
    "aria-label": `Network of ${readable(STATE.name)}` });
  const largest = Math.max(...net.list.map((e) => (e.plain ? 0 : Math.abs(e.effect))), 1e-12);
  const find = (name, layers) =>
    layers.map((k) => [k, place.get(`${k} ${name}`)]).find(([, p]) => p);
  const dots = [];
  for (const e of net.list) {
    const start = find(e.from, [0, 1]);
    const end = start && find(e.to, [1, 2].filter((k) => k > start[0]));
    if (!end) continue;
    const [, a] = start, [, b] = end, x0 = a.x + a.box, x1 = b.x, bend = (x1 - x0) / 2;
    const colour = e.plain ? "#777777" : e.effect > 0 ? DATA.colours.up : DATA.colours.down;
    const wide = e.plain ? 1 + 2 * e.effect : 0.8 + 4 * Math.abs(e.effect) / largest;
    const path = `M${x0},${a.y} C${x0 + bend},${a.y} ${x1 - bend},${b.y} ${x1},${b.y}`;
    const words = `${readable(e.from)} → ${e.to}: ${short(e.effect)}`
      + (STATE.kind === "modules" ? "" : `, q = ${short(e.q)}`);
    svg.append(drawn("path", { d: path, fill: "none", stroke: colour, "stroke-width": wide,
      "stroke-opacity": 0.75 }, drawn("title", {}, words)));
    if (significant(e.q)) {
      const x = x0 + 0.658 * (x1 - x0), y = a.y + 0.784 * (b.y - a.y); // the curve at t = 0.7
      dots.push(drawn("circle", { cx: x, cy: y, r: 4, fill: colour, stroke: "#fff",
        "stroke-width": 1.2 }));
    }
  }
  svg.append(...dots);
  net.heads.forEach((head, k) => svg.append(drawn("text", { x: lefts[k] + boxes[k] / 2, y: 14,
    "text-anchor": "middle", "font-size": 12, fill: "#555" }, head)));
  net.layers.forEach((names, k) => names.forEach((name) =>
    svg.append(node(name, k, place.get(`${k} ${name}`)))));
  return svg;
}

function node(name, layer, at) {
  const box = at.box, label = Math.floor((box - 8) / 6.8);
  const bold = name === STATE.name || name === STATE.target || name === STATE.tf;
  const ofTf = layer === 1 && STATE.kind !== "modules" ? "tfs" : "";
  const kind = layer === 0 ? "lr_pairs" : ofTf;
  const clickable = kind !== "" && name !== STATE.name;
  const group = drawn("g", clickable ? { role: "button", tabindex: 0 } : {},
    drawn("rect", { x: at.x, y: at.y - 10, width: box, height: 20, rx: 4, fill: "#fff",
      stroke: bold ? "#1a1a1a" : "#9a9a9a", "stroke-width": bold ? 2 : 1 }),
    drawn("text", { x: at.x + box / 2, y: at.y + 4, "text-anchor": "middle", "font-size": 12,
      fill: "#1a1a1a" }, fitted(readable(name), label)),
    drawn("title", {}, readable(name)));
  if (clickable) onPress(group, () => choose({ kind, name, target: "", tf: "" }));
  return group;
}

function onPress(target, act) {
  target.addEventListener("click", act);
  target.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); }
  });
}

// Score and significance of every sender and receiver, of the chosen pair or summed over pairs.
function matrixValues() {
  const { senders, receivers, sums } = DATA.matrices, n = senders.length * receivers.length;
  if (STATE.kind !== "lr_pairs" || !STATE.name) {
    const sum = sums[STATE.stage] || sums[""];
    return { score: unpack(sum.score), sure: unpack(sum.significant), q: null };
  }
  const score = new Float32Array(n), sure = new Uint8Array(n), q = new Float32Array(n).fill(1);
  const t = table("communication");
  if (t.n) {
    for (const i of rowsWhere(t, pairGenes(STATE.name))) {
      const r = senders.indexOf(t.by.sender.at(i)), c = receivers.indexOf(t.by.receiver.at(i));
      const k = r * receivers.length + c;
      score[k] = valueAt("communication", "score", i, STATE.stage);
      q[k] = valueAt("communication", "q_value", i, STATE.stage);
      sure[k] = significant(q[k]) && score[k] > 0 ? 1 : 0;
    }
  }
  return { score, sure, q };
}

function drawMatrix() {
  const { senders, receivers } = DATA.matrices, values = matrixValues();
  const top = Math.max(...values.score, 0), n = values.sure.reduce((a, b) => a + b, 0);
  const subject = values.q ? readable(STATE.name) : "Sum of all pairs";
  const listed = DATA.tables.communication, part = values.q && listed.n < listed.positive;
  byId("matrix-note").textContent = top > 0
    ? `${subject}${stageText()}, score in SD of the targets; a dot marks ${n} of `
      + `${senders.length * receivers.length} fields `
      + (values.q ? `with q ≤ ${DATA.threshold}.` : `with a pair at q ≤ ${DATA.threshold}.`)
      + (part ? " Weak rows are not in this file." : "")
    : `${subject}${stageText()}: no score above 0.`;
  const figure = byId("matrix-figure");
  figure.replaceChildren(...(top > 0 ? [matrixSvg(values, top, figure.clientWidth || 340)] : []));
}

function matrixSvg(values, top, room) {
  const { senders, receivers } = DATA.matrices;
  const most = Math.max(20, Math.min(28, Math.floor(0.36 * room / 7.4)));
  const cut = (names) => Math.max(...names.map((name) => Math.min(most, name.length)));
  const wide = Math.max(130, 7.4 * cut(senders) + 8), longest = cut(receivers);
  const size = Math.max(14, Math.min(30, (room - wide - 62) / receivers.length));
  const high = 7.2 * longest + 20, width = wide + size * receivers.length + 62;
  const height = high + size * senders.length + 4;
  const svg = drawn("svg", { width, height: Math.max(height, high + 70), role: "img",
    "aria-label": "Matrix of scores, senders in rows and receivers in columns" });
  svg.append(drawn("text", { x: wide - 6, y: high - 8, "text-anchor": "end", "font-size": 12,
    fill: "#555" }, "sender ↓ receiver →"));
  senders.forEach((name, r) => svg.append(drawn("text", { x: wide - 6,
    y: high + size * (r + 0.5) + 4, "text-anchor": "end", "font-size": 12 }, fitted(name, most),
  drawn("title", {}, name))));
  receivers.forEach((name, c) => svg.append(drawn("text", { "font-size": 12,
    transform: `translate(${wide + size * (c + 0.5) + 4},${high - 6}) rotate(-90)` },
  fitted(name, most), drawn("title", {}, name))));
  senders.forEach((from, r) => receivers.forEach((to, c) => {
    const k = r * receivers.length + c, share = values.score[k] / top;
    const x = wide + size * c, y = high + size * r;
    const q = values.q ? `, q = ${short(values.q[k])}` : "";
    const field = drawn("g", {}, drawn("rect", { x, y, width: size - 1, height: size - 1,
      fill: shade("sequential", share) }), drawn("title", {},
      `${from} → ${to}: ${short(values.score[k])}${q}`));
    if (values.sure[k]) {
      field.append(drawn("circle", { cx: x + (size - 1) / 2, cy: y + (size - 1) / 2,
        r: Math.min(4, size / 4), fill: "#fff", stroke: "#111", "stroke-width": 1.2 }));
    }
    svg.append(field);
  }));
  svg.append(...matrixBar(width - 52, high, top));
  return svg;
}

function matrixBar(x, y, top) {
  const out = [];
  for (let i = 0; i < 30; i++) {
    out.push(drawn("rect", { x, y: y + 2 * i, width: 10, height: 2.5,
      fill: shade("sequential", 1 - i / 29) }));
  }
  for (const [text, dy] of [[short(top), 9], ["0", 62]]) {
    out.push(drawn("text", { x: x + 14, y: y + dy, "font-size": 11 }, text));
  }
  return out;
}
