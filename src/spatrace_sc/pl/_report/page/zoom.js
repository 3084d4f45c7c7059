// Zoom and pan of the map: all slices move together, by pointer, buttons and keys.

const VIEW = { zoom: 1, x: 0.5, y: 0.5 }; // the middle of a panel, as shares of the whole slice
const MOST_ZOOM = 32, ZOOM_STEP = 1.5, MOVE = 0.15, DRAG = 4;

// Position in a panel of a point whose position without zoom is known.
function zoomed(place, x, y) {
  return [
    (x - VIEW.x * place.width) * VIEW.zoom + place.width / 2,
    (y - VIEW.y * place.height) * VIEW.zoom + place.height / 2,
  ];
}

// Change the zoom by a factor around a point of the panel, given in shares of its sides.
function zoomBy(factor, x = 0.5, y = 0.5) {
  const zoom = Math.max(1, Math.min(MOST_ZOOM, VIEW.zoom * factor));
  const shift = 1 / VIEW.zoom - 1 / zoom;
  moveTo(zoom, VIEW.x + (x - 0.5) * shift, VIEW.y + (y - 0.5) * shift);
}

// Show a part of the slices; it stays inside the whole slice.
function moveTo(zoom, x, y) {
  const half = 0.5 / zoom;
  VIEW.zoom = zoom;
  VIEW.x = Math.max(half, Math.min(1 - half, x));
  VIEW.y = Math.max(half, Math.min(1 - half, y));
  hideTip();
  showZoom();
  redrawMap();
}

// Say in the controls how large the zoom is.
function showZoom() {
  const { zoom } = VIEW;
  const limits = { "zoom-out": 1, "zoom-all": 1, "zoom-in": MOST_ZOOM };
  for (const [id, limit] of Object.entries(limits)) {
    byId(id).setAttribute("aria-disabled", String(zoom === limit)); // it keeps the focus
  }
  byId("zoom-note").textContent = zoom === 1 ? "whole slices" : `${short(zoom)} ×`;
  byId("panels").classList.toggle("zoomed", zoom > 1);
}

let waiting = 0;
function redrawMap() {
  if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; drawMap(); });
}

function pressKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = MOVE / VIEW.zoom;
  const actions = {
    "+": () => zoomBy(ZOOM_STEP), "=": () => zoomBy(ZOOM_STEP), "-": () => zoomBy(1 / ZOOM_STEP),
    0: () => moveTo(1, 0.5, 0.5),
  };
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const move = VIEW.zoom > 1 && moves[event.key];
  if (move) moveTo(VIEW.zoom, VIEW.x + step * move[0], VIEW.y + step * move[1]);
  else if (Object.hasOwn(actions, event.key)) actions[event.key]();
  else return;
  event.preventDefault();
}

// Where in its panel an event happens, in shares of the sides of the panel.
function shareOf(event) {
  const canvas = event.target.closest("canvas");
  if (!canvas) return null;
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

function connectZoom() {
  const panels = byId("panels");
  let drag = null;
  byId("zoom-in").addEventListener("click", () => zoomBy(ZOOM_STEP));
  byId("zoom-out").addEventListener("click", () => zoomBy(1 / ZOOM_STEP));
  byId("zoom-all").addEventListener("click", () => moveTo(1, 0.5, 0.5));
  panels.addEventListener("keydown", pressKey);
  panels.addEventListener("dblclick", (event) => {
    const at = shareOf(event);
    if (at) zoomBy(event.shiftKey ? 1 / ZOOM_STEP ** 2 : ZOOM_STEP ** 2, ...at);
  });
  panels.addEventListener("wheel", (event) => {
    const at = shareOf(event);
    if (!at || !(event.ctrlKey || event.metaKey)) return; // the wheel alone scrolls the page
    event.preventDefault();
    zoomBy(2 ** (-event.deltaY / 200), ...at);
  }, { passive: false });
  panels.addEventListener("pointerdown", (event) => {
    const canvas = event.target.closest("canvas");
    if (!canvas || VIEW.zoom === 1 || event.button) return;
    const box = canvas.getBoundingClientRect();
    drag = { x: event.clientX, y: event.clientY, width: box.width, height: box.height,
      start: { ...VIEW }, moved: false };
  });
  window.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    drag.moved ||= Math.hypot(dx, dy) > DRAG;
    if (!drag.moved) return;
    const { zoom, x, y } = drag.start;
    moveTo(zoom, x - dx / drag.width / zoom, y - dy / drag.height / zoom);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    window.addEventListener(end, () => { drag = null; });
  }
  showZoom();
}
