// Tables: sorted, filtered, in pages; a click on a row shows it in the other views.

const ROWS = 25;
const TABLE = { name: "lr_pairs", sort: "", down: false, text: "", maxQ: 1, every: false, page: 0 };
const LARGEST_FIRST = new Set(["score", "effect", "stability", "mediated", "robustness"]);

// Columns that are shown: those of the table, then the ones at the chosen stage.
function shownColumns() {
  const stored = DATA.tables[TABLE.name], t = table(TABLE.name), out = [];
  const extra = atStage(JSON.stringify([TABLE.name, STATE.stage]));
  for (const c of t.list) {
    if (!TABLE.every && !stored.main.includes(c.name)) continue;
    out.push({ ...c, title: c.name });
    const values = extra[c.name];
    if (values) {
      out.push({ name: `${c.name} at stage`, title: `${c.name} at ${STATE.stage}`, text: false,
        values, at: (i) => values[i] });
    }
  }
  return out;
}

// Rows that pass the filters, in the chosen order.
function shownRows(columns) {
  const t = table(TABLE.name), words = TABLE.text.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = t.list.filter((c) => c.text);
  const holds = words.map((word) => texts.map((c) => c.names.map(
    (name) => name.toLowerCase().includes(word))));
  const q = t.n ? t.by.q_value.values : [], rows = [];
  for (let i = 0; i < t.n; i++) {
    if (TABLE.maxQ < 1 && !(q[i] <= TABLE.maxQ + 1e-9)) continue;
    if (holds.every((per) => texts.some((c, k) => per[k][c.codes[i]]))) rows.push(i);
  }
  const by = columns.find((c) => c.name === TABLE.sort);
  if (by) {
    const sign = TABLE.down ? -1 : 1;
    rows.sort(by.text
      ? (a, b) => sign * by.at(a).localeCompare(by.at(b)) || a - b
      : (a, b) => missingLast(by.at(a), by.at(b), sign) || a - b);
  }
  return rows;
}

function missingLast(a, b, sign) {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return sign * (a - b);
}

function drawTable() {
  const columns = shownColumns(), rows = shownRows(columns), stored = DATA.tables[TABLE.name];
  const last = Math.max(0, Math.ceil(rows.length / ROWS) - 1);
  TABLE.page = Math.min(TABLE.page, last);
  const start = TABLE.page * ROWS, page = rows.slice(start, start + ROWS);
  const head = byId("table").tHead, body = byId("table").tBodies[0];
  head.replaceChildren(element("tr", {}, ...columns.map(heading)));
  body.replaceChildren(...page.map((i) => tableRow(columns, i)));
  byId("table-note").textContent = tableNote(rows.length, stored);
  byId("page").textContent = rows.length
    ? `rows ${start + 1} to ${start + page.length} of ${rows.length}` : "no rows";
  byId("previous").disabled = TABLE.page === 0;
  byId("next").disabled = TABLE.page >= last;
  byId("download").disabled = rows.length === 0;
}

function tableNote(n, stored) {
  const counts = `${stored.significant} of ${stored.candidates} ${stored.noun} significant at `
    + `q ≤ ${DATA.threshold}.`;
  const part = stored.n < stored.positive
    ? ` This file holds ${stored.n} of ${stored.positive} with a score above 0.` : "";
  const filtered = n < stored.n ? ` ${n} of ${stored.n} rows pass the filters.` : "";
  const hint = n ? "" : stored.n ? " Widen the filters." : " No row has a score above 0.";
  return counts + part + filtered + hint;
}

function heading(c) {
  const sorted = TABLE.sort === c.name ? (TABLE.down ? "descending" : "ascending") : "none";
  const mark = { descending: " ▼", ascending: " ▲", none: "" }[sorted];
  const title = DATA.about.columns[c.name] || "";
  const button = element("button", { type: "button", title }, c.title + mark);
  button.addEventListener("click", () => {
    const again = TABLE.sort === c.name;
    TABLE.down = again ? !TABLE.down : LARGEST_FIRST.has(c.name.split(" ")[0]);
    Object.assign(TABLE, { sort: c.name, page: 0 });
    drawTable();
    const place = shownColumns().findIndex((d) => d.name === c.name);
    byId("table").tHead.querySelectorAll("button")[place].focus();
  });
  const kind = c.text ? "" : "number";
  return element("th", { scope: "col", class: kind, "aria-sort": sorted }, button);
}

function tableRow(columns, i) {
  const cells = columns.map((c) => {
    const value = c.at(i);
    if (c.text) return element("td", { title: value }, value);
    const dot = /q_value/.test(c.name) && significant(value) ? "● " : "";
    return element("td", { class: "number" }, dot + short(value));
  });
  const shown = isShown(TABLE.name, i);
  const attributes = { tabindex: 0, "data-row": i, "aria-selected": String(shown) };
  const row = element("tr", attributes, ...cells);
  onPress(row, () => {
    chooseRow(TABLE.name, i);
    const again = byId("table").querySelector(`tr[data-row="${i}"]`);
    if (again) again.focus();
  });
  return row;
}

// What a row stands for, as a change of the state.
function meaning(name, i) {
  const t = table(name), nothing = { target: "", tf: "", sender: "", receiver: "", type: "" };
  if (name === "tf_targets") {
    return { ...nothing, kind: "tfs", name: t.by.tf.at(i), target: t.by.target.at(i) };
  }
  const change = { ...nothing, kind: "lr_pairs", name: pairOf(t, i) };
  for (const role of ["target", "tf", "sender", "receiver"]) {
    if (t.by[role]) change[role] = t.by[role].at(i);
  }
  return change;
}

function isShown(name, i) {
  const change = meaning(name, i);
  return Object.keys(change).every((key) => STATE[key] === change[key]);
}

function chooseRow(name, i) {
  choose(meaning(name, i));
  const change = meaning(name, i), ends = [change.tf, change.target].filter(Boolean);
  const types = change.sender ? `, ${change.sender} → ${change.receiver}` : "";
  const words = `Shown above: ${[readable(change.name), ...ends].join(" → ")}${types}. `;
  byId("chosen").replaceChildren(words, element("a", { href: "#map" }, "Go to the map"));
}

// The filtered rows in their order, with the shown columns.
function csv() {
  const columns = shownColumns(), quote = (text) => {
    const s = String(text);
    return /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
  };
  const written = (c, i) => {
    const value = c.at(i);
    if (c.text) return quote(value);
    return Number.isFinite(value) ? String(Number(value.toPrecision(7))) : "";
  };
  const lines = shownRows(columns).map((i) => columns.map((c) => written(c, i)).join(","));
  return [columns.map((c) => quote(c.title)).join(","), ...lines].join("\r\n") + "\r\n";
}

function download() {
  const link = element("a", { download: `${TABLE.name}.csv` });
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv;charset=utf-8" }));
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function drawTabs() {
  byId("tabs").replaceChildren(...Object.keys(DATA.tables).map((name) => {
    const chosen = name === TABLE.name;
    const tab = element("button", { type: "button", role: "tab", "data-table": name,
      "aria-selected": String(chosen), "aria-controls": "table-panel", tabindex: chosen ? 0 : -1 },
    DATA.tables[name].title);
    tab.addEventListener("click", () => showTable(name));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const names = Object.keys(DATA.tables), k = names.indexOf(name) + step;
      showTable(names[(k + names.length) % names.length]);
    });
    return tab;
  }));
}

function showTable(name) {
  Object.assign(TABLE, { name, sort: "", page: 0 });
  drawTabs();
  drawTable();
  byId("tabs").querySelector('[aria-selected="true"]').focus();
}
