"use strict";
// Data of the page: arrays are unpacked when they are first needed.

const DATA = JSON.parse(document.getElementById("data").textContent);
const MISSING = 255, LAST = 254;
const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array };

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

function unpack(packed) {
  return new ARRAYS[packed.type](bytes(packed.data).buffer);
}

function once(compute) {
  const known = new Map();
  return (key) => {
    if (!known.has(key)) known.set(key, compute(key));
    return known.get(key);
  };
}

// A column is {name, text, at(row), codes and names, or values}.
function column(packed) {
  if (packed.names) {
    const codes = unpack(packed.codes), names = packed.names;
    return { name: packed.name, text: true, codes, names, at: (i) => names[codes[i]] };
  }
  const values = unpack(packed.values);
  return { name: packed.name, text: false, values, at: (i) => values[i] };
}

function tableOf(columns) {
  const list = columns.map(column), by = {};
  for (const c of list) by[c.name] = c;
  const first = list[0];
  return { list, by, n: first ? (first.text ? first.codes : first.values).length : 0 };
}

const table = once((name) => tableOf(DATA.tables[name].columns));
const moduleTable = once((name) => tableOf(DATA.modules[name] || []));
// Columns of a table that differ at a stage; an empty object for the whole data set.
const atStage = once((key) => {
  const [name, stage] = JSON.parse(key), out = {};
  const stored = stage === "" ? {} : DATA.tables[name].at_stage[stage] || {};
  for (const c in stored) out[c] = unpack(stored[c]);
  return out;
});

// Value of a column in a row, at the chosen stage where it has one.
function valueAt(name, columnName, row, stage) {
  const values = atStage(JSON.stringify([name, stage]))[columnName];
  return values ? values[row] : table(name).by[columnName].at(row);
}

const colourTable = once((name) => {
  const text = DATA.colours[name], out = [];
  for (let i = 0; i < 256; i++) out.push("#" + text.slice(6 * i, 6 * i + 6));
  return out;
});

// Colour of a share from 0 to 1.
function shade(name, share) {
  return colourTable(name)[Math.max(0, Math.min(255, Math.round(255 * share)))];
}

function significant(q) {
  return q <= DATA.threshold + 1e-9;
}

function short(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value), plain = size >= 1e-3 && size < 1e5;
  const text = plain ? String(Number(value.toPrecision(3))) : value.toExponential(1);
  return text.replaceAll("-", "−");
}

function readable(name) {
  return name.replace("^", " → ");
}

// A name of at most n characters, with an ellipsis in its middle.
function fitted(name, n) {
  if (name.length <= n) return name;
  const left = Math.max(1, Math.ceil((n - 1) / 2)), right = Math.max(0, n - 1 - left);
  return name.slice(0, left) + "…" + (right ? name.slice(-right) : "");
}

// Elements get text, never HTML.
function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  return filled(node, attributes, children);
}

function drawn(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return filled(node, attributes, children);
}

function filled(node, attributes, children) {
  for (const name in attributes || {}) {
    if (attributes[name] !== null) node.setAttribute(name, attributes[name]);
  }
  for (const child of children) {
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
}

function byId(id) {
  return document.getElementById(id);
}

// What is shown; every view reads it and draws itself anew.
const STATE = {
  kind: "types", name: "", stage: "", type: "", target: "", tf: "", sender: "", receiver: "",
};

function stageText() {
  return STATE.stage === "" ? "" : ` at ${DATA.stage_word} ${STATE.stage}`;
}
