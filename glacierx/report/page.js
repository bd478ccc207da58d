"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const columns = data.columns;
  const column = Object.fromEntries(columns.map((one) => [one.name, one]));
  const count = data.ids.length;
  const PAGE_ROWS = 50;
  const MOST_PRINTED = 500;

  function make(tag, text, kind) {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  }

  const formats = new Map();
  function shown(value, one) {
    if (value === null || value === undefined) return "–";
    if (!one.numeric) return String(value);
    if (!formats.has(one.digits)) {
      formats.set(one.digits, new Intl.NumberFormat("en", {
        minimumFractionDigits: one.digits, maximumFractionDigits: one.digits,
        useGrouping: one.digits < 4,
      }));
    }
    return formats.get(one.digits).format(value);
  }

  // Theme: that of the system, else as chosen.
  const themes = ["automatic", "light", "dark"];
  let theme = 0;
  byId("theme").hidden = false;
  byId("theme").addEventListener("click", () => {
    theme = (theme + 1) % themes.length;
    if (theme) document.documentElement.dataset.theme = themes[theme];
    else delete document.documentElement.dataset.theme;
    byId("theme").textContent = "Theme: " + themes[theme];
  });

  // The map: metres to the right and down, with down as negative latitude.
  const [wide, high] = data.frame.size;
  const quantum = data.shapes.quantum;
  const bounds = L.latLngBounds([[-high, 0], [0, wide]]);
  const map = L.map("map", {
    crs: L.CRS.Simple, minZoom: -20, maxZoom: 3, zoomSnap: 0.05, zoomDelta: 0.75,
    wheelPxPerZoomLevel: 90, renderer: L.canvas({ padding: 0.4, tolerance: 4 }),
    zoomAnimation: !calm, fadeAnimation: false, inertia: !calm, attributionControl: false,
    maxBounds: bounds.pad(0.6),
  });
  L.control.scale({ imperial: false, maxWidth: 130 }).addTo(map);
  const north = L.control({ position: "topright" });
  north.onAdd = () => {
    const box = make("div", undefined, "north");
    const turn = data.frame.north;
    box.innerHTML = '<svg width="22" height="34" viewBox="-11 -20 22 34" role="img" aria-label="North arrow"><g><path d="M0 -6L6 12L0 8L-6 12Z" fill="#1c2126"/><text text-anchor="middle" y="-9">N</text></g></svg>';
    box.querySelector("g").setAttribute("transform", "rotate(" + turn + ")");
    return box;
  };
  north.addTo(map);

  let scene = null;
  if (data.scene) {
    scene = L.imageOverlay(data.scene.url, bounds, { alt: data.scene.text }).addTo(map);
  } else {
    byId("scene-label").hidden = true;
  }

  function decode(steps) {
    const out = [];
    let x = 0, y = 0;
    for (let at = 0; at < steps.length; at += 2) {
      x += steps[at];
      y += steps[at + 1];
      out.push([-y * quantum, x * quantum]);
    }
    return out;
  }

  let classes = data.classes[0];
  function colorOf(row) {
    const value = column[classes.column] ? column[classes.column].values[row] : null;
    if (value === null) return "#9aa3ab";
    let at = 0;
    while (at < classes.edges.length && value >= classes.edges[at]) at += 1;
    return classes.colors[at];
  }
  function styleOf(row) {
    const color = colorOf(row);
    return scene
      ? { color: "#ffffff", weight: 1, opacity: 0.95, fillColor: color, fillOpacity: 0.55 }
      : { color: "#3a434b", weight: 0.7, opacity: 0.9, fillColor: color, fillOpacity: 0.85 };
  }
  const glaciers = L.layerGroup();
  const layers = data.shapes.polygons.map((rings, row) => {
    const layer = L.polygon(rings.map(decode), Object.assign({ smoothFactor: 0.8 }, styleOf(row)));
    layer.on("click", (event) => {
      L.DomEvent.stopPropagation(event);
      choose(row, false);
    });
    layer.addTo(glaciers);
    return layer;
  });
  glaciers.addTo(map);

  const divides = L.layerGroup();
  if (data.shapes.lines.length) {
    const lines = data.shapes.lines.map(decode);
    const plain = { interactive: false, smoothFactor: 0.8 };
    L.polyline(lines, Object.assign({ color: "#ffffff", weight: 3, opacity: 0.9 }, plain)).addTo(divides);
    L.polyline(lines, Object.assign({ color: "#10151a", weight: 1.4, dashArray: "5 4" }, plain)).addTo(divides);
    divides.addTo(map);
  } else {
    byId("divides-label").hidden = true;
  }
  const mark = L.layerGroup().addTo(map);

  const home = scene || !layers.length ? bounds : L.latLngBounds(layers.map((one) => one.getBounds()).filter((one) => one.isValid()).reduce((sum, one) => sum.extend(one), L.latLngBounds([])));
  const goHome = () => map.fitBounds(home, { animate: !calm, padding: [4, 4] });
  map.fitBounds(home, { animate: false, padding: [4, 4] });
  // Printing does not wait for a picture.
  if (scene) scene.getElement().decoding = "sync";

  byId("controls").hidden = false;
  byId("whole").addEventListener("click", goHome);
  for (const [id, layer] of [["show-scene", scene], ["show-glaciers", glaciers], ["show-divides", divides]]) {
    byId(id).addEventListener("change", (event) => {
      if (layer && event.target.checked) layer.addTo(map);
      else if (layer) layer.remove();
    });
  }
  const picker = byId("colour");
  data.classes.forEach((one, at) => {
    const option = make("option", one.title);
    option.value = String(at);
    picker.append(option);
  });
  picker.addEventListener("change", () => {
    classes = data.classes[Number(picker.value)];
    layers.forEach((layer, row) => layer.setStyle(styleOf(row)));
    showLegend();
  });
  function swatch(color) {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    const box = document.createElementNS(ns, "rect");
    for (const [name, value] of [["width", "14"], ["height", "14"], ["aria-hidden", "true"]]) svg.setAttribute(name, value);
    for (const [name, value] of [["width", "14"], ["height", "14"], ["fill", color]]) box.setAttribute(name, value);
    svg.append(box);
    return svg;
  }
  function showLegend() {
    const unit = classes.unit ? ", " + classes.unit : "";
    const items = [make("li", classes.title + unit)];
    classes.labels.forEach((label, at) => {
      const item = make("li");
      item.append(swatch(classes.colors[at]), label);
      items.push(item);
    });
    byId("legend").replaceChildren(...items);
  }
  showLegend();

  const t = data.frame.transform;
  map.on("mousemove", (event) => {
    const right = event.latlng.lng, down = -event.latlng.lat;
    const xy = [t[0] * right + t[1] * down + t[2], t[3] * right + t[4] * down + t[5]];
    const texts = xy.map((value, at) => data.frame.axes[at] + " " + value.toFixed(data.frame.digits));
    byId("position").textContent = texts.join("  ") + "  (" + data.frame.crs + ")";
  });

  // A glacier is chosen: its attributes beside the map, its row in the table.
  let chosen = -1;
  let cameFrom = null;
  function choose(row, fly) {
    chosen = row;
    const title = data.names[row] ? data.names[row] + ", " + data.ids[row] : data.ids[row];
    byId("panel-title").textContent = title;
    byId("panel").classList.add("chosen");
    const list = make("dl");
    for (const one of columns) {
      const value = one.values[row];
      if (value === null || value === undefined) continue;
      const term = make("dt", one.title);
      if (one.text) term.title = one.text;
      list.append(term, make("dd", shown(value, one) + (one.unit ? " " + one.unit : "")));
    }
    const buttons = make("div", undefined, "controls");
    const zoom = make("button", "Zoom to it");
    zoom.type = "button";
    zoom.addEventListener("click", () => zoomTo(row));
    const back = make("button", "Show in the table");
    back.type = "button";
    back.addEventListener("click", () => showRow(row));
    buttons.append(zoom, back);
    byId("panel-body").replaceChildren(buttons, list);
    mark.clearLayers();
    const rings = layers[row].getLatLngs();
    const plain = { interactive: false, fill: false, smoothFactor: 0.8 };
    L.polygon(rings, Object.assign({ color: "#10151a", weight: 6, opacity: 0.9 }, plain)).addTo(mark);
    L.polygon(rings, Object.assign({ color: "#ffffff", weight: 3 }, plain)).addTo(mark);
    if (fly) zoomTo(row);
    for (const line of body.rows) line.classList.toggle("chosen", Number(line.dataset.row) === row);
  }
  function zoomTo(row) {
    map.fitBounds(layers[row].getBounds().pad(0.25), { animate: !calm, maxZoom: map.getBoundsZoom(bounds) + 6 });
  }
  function showRow(row) {
    if (!rows.includes(row)) reset();
    first = Math.floor(rows.indexOf(row) / PAGE_ROWS) * PAGE_ROWS;
    showRows();
    const line = body.querySelector('tr[data-row="' + row + '"]');
    line.querySelector("button").focus();
  }

  // The table, a page at a time.
  const table = byId("table");
  const body = table.tBodies[0];
  const named = data.names.some((name) => name);
  const inTable = columns.filter((one) => one.table);
  const fields = [{ title: "Glacier", values: data.ids, numeric: false, key: "id" }];
  if (named) fields.push({ title: "Name", values: data.names, numeric: false, key: "name" });
  fields.push(...inTable);
  let rows = [...Array(count).keys()];
  let only = null;
  let first = 0;
  let sorted = { field: null, down: false };
  const texts = columns.filter((one) => !one.numeric);
  const words = data.ids.map((id, row) =>
    [id, data.names[row], ...texts.map((one) => one.values[row])].filter((one) => one).join("\n").toLowerCase());

  const line = make("tr");
  fields.forEach((field) => {
    const cell = make("th", undefined, field.numeric ? "" : "text");
    cell.scope = "col";
    cell.setAttribute("aria-sort", "none");
    const button = make("button", field.title + (field.unit ? ", " + field.unit : ""));
    button.type = "button";
    if (field.text) button.title = field.text;
    button.addEventListener("click", () => {
      const down = sorted.field === field ? !sorted.down : field.numeric;
      sorted = { field: field, down: down };
      for (const other of line.cells) other.setAttribute("aria-sort", "none");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      first = 0;
      update();
    });
    cell.append(button);
    line.append(cell);
  });
  table.tHead.append(line);

  const collator = new Intl.Collator("en", { numeric: true });
  function update() {
    const sought = byId("search").value.toLowerCase().split(/\s+/).filter((one) => one);
    rows = [];
    for (let row = 0; row < count; row += 1) {
      if (only && !only.has(row)) continue;
      if (sought.every((one) => words[row].includes(one))) rows.push(row);
    }
    if (sorted.field) {
      const { field, down } = sorted;
      const sign = down ? -1 : 1;
      rows.sort((a, b) => {
        const one = field.values[a], other = field.values[b];
        const empty = (one === null || one === "") - (other === null || other === "");
        if (empty) return empty;
        const order = field.numeric ? one - other : collator.compare(one || "", other || "");
        return sign * order || a - b;
      });
    }
    byId("found").textContent = rows.length === count
      ? count.toLocaleString("en") + " glaciers"
      : rows.length.toLocaleString("en") + " of " + count.toLocaleString("en") + " glaciers";
    byId("all").hidden = rows.length === count;
    first = Math.min(first, Math.max(0, Math.floor((rows.length - 1) / PAGE_ROWS) * PAGE_ROWS));
    showRows();
  }
  function showRows(many) {
    const part = rows.slice(many ? 0 : first, many || first + PAGE_ROWS);
    body.replaceChildren(...part.map((row) => {
      const tr = make("tr", undefined, row === chosen ? "chosen" : "");
      tr.dataset.row = String(row);
      fields.forEach((field, at) => {
        const cell = make(at ? "td" : "th", undefined, field.numeric ? "" : "text");
        if (at) {
          cell.textContent = field.values[row] === "" ? "" : shown(field.values[row], field);
        } else {
          cell.scope = "row";
          const button = make("button", data.ids[row], "link");
          button.type = "button";
          button.addEventListener("click", () => {
            cameFrom = row;
            choose(row, true);
            byId("map-title").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
            byId("panel-title").focus({ preventScroll: true });
          });
          cell.append(button);
        }
        tr.append(cell);
      });
      return tr;
    }));
    const last = Math.min(first + PAGE_ROWS, rows.length);
    byId("pages").hidden = rows.length <= PAGE_ROWS;
    byId("page").textContent = (rows.length ? first + 1 : 0) + "–" + last + " of " + rows.length;
    byId("earlier").disabled = first === 0;
    byId("later").disabled = last >= rows.length;
  }
  function reset() {
    only = null;
    byId("search").value = "";
    update();
  }
  byId("panel").addEventListener("keydown", (event) => {
    if (event.key === "Escape" && cameFrom !== null) showRow(cameFrom);
  });
  byId("table-controls").hidden = false;
  byId("search").addEventListener("input", () => { first = 0; update(); });
  byId("all").addEventListener("click", () => { reset(); byId("search").focus(); });
  byId("earlier").addEventListener("click", () => { first = Math.max(0, first - PAGE_ROWS); showRows(); });
  byId("later").addEventListener("click", () => { first += PAGE_ROWS; showRows(); });
  for (const button of document.querySelectorAll("button[data-note]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      only = new Set(data.notes[Number(button.dataset.note)]);
      byId("search").value = "";
      first = 0;
      update();
      byId("glaciers").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
      byId("glaciers").focus({ preventScroll: true });
    });
  }
  update();

  const copy = byId("copy");
  if (copy) {
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      const code = byId("command");
      try {
        await navigator.clipboard.writeText(code.textContent);
        copy.textContent = "Copied";
      } catch (error) {
        window.getSelection().selectAllChildren(code);
        copy.textContent = "Selected";
      }
    });
  }

  // On paper the map has the width of a page, and the table more of its rows.
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = { center: map.getCenter(), zoom: map.getZoom() };
    const seen = map.getBounds();
    byId("map").style.width = "660px";
    byId("map").style.height = Math.round(Math.min(720, 660 * Math.max(0.6, high / wide))) + "px";
    map.invalidateSize({ animate: false });
    map.fitBounds(chosen < 0 ? home : seen, { animate: false });
    // Chromium prints a canvas that was just cleared and drawn as strokes on white, over the
    // scene; a picture of it is printed as it is seen.
    for (const one of document.querySelectorAll("#map canvas")) {
      const still = new OffscreenCanvas(one.width, one.height);
      still.getContext("2d").drawImage(one, 0, 0);
      const copy = make("canvas", undefined, one.className + " still");
      copy.width = one.width;
      copy.height = one.height;
      copy.style.cssText = one.style.cssText;
      copy.getContext("bitmaprenderer").transferFromImageBitmap(still.transferToImageBitmap());
      one.style.visibility = "hidden";
      one.after(copy);
    }
    showRows(MOST_PRINTED);
  });
  window.addEventListener("afterprint", () => {
    for (const one of document.querySelectorAll("#map canvas.still")) {
      one.previousSibling.style.visibility = "";
      one.remove();
    }
    byId("map").style.width = byId("map").style.height = "";
    map.invalidateSize({ animate: false });
    if (before) map.setView(before.center, before.zoom, { animate: false });
    showRows();
  });
  window.addEventListener("resize", () => map.invalidateSize({ animate: false }));

  window.glacierxReport = { map: map, layers: layers, choose: choose };
  requestAnimationFrame(() => requestAnimationFrame(() => {
    document.documentElement.dataset.ready = String(Math.round(performance.now()));
  }));
})();
