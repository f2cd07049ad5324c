(function () {
  "use strict";
  // A row of the table behind a figure is shown where the mouse or a tap is; the table itself is for keyboards and readers.
  var tip = document.createElement("div"), ring = document.createElement("div"), shown = null;
  tip.className = "tip";
  ring.className = "ring";
  [tip, ring].forEach(function (each) { each.hidden = true; each.setAttribute("aria-hidden", "true"); document.body.appendChild(each); });
  function hide() { tip.hidden = ring.hidden = true; shown = null; }
  function text(cell) { return cell ? cell.textContent.trim() : ""; }
  function told(heads, rows, row) {
    // Columns in which all rows say the same are left out, unless something is hidden there or it is the evidence.
    return heads.map(function (head, at) {
      var cell = row.cells[at];
      var alike = rows.length > 1 && rows.every(function (each) { return text(each.cells[at]) === text(cell); });
      var kept = cell && (cell.classList.contains("suppressed") || cell.querySelector(".badge") || !alike && !cell.classList.contains("no-data"));
      return kept && [head, text(cell)];
    }).slice(1).filter(Boolean);
  }
  function reader(image) {
    var output = image.closest(".output"), table = output && output.nextElementSibling && output.nextElementSibling.querySelector(".data-behind table");
    if (!table || !table.tHead) { return null; }
    // The page's own order: sorting moves rows.
    var rows = Array.prototype.slice.call(table.tBodies[0].rows);
    var heads = Array.prototype.map.call(table.tHead.rows[table.tHead.rows.length - 1].cells, text);
    var parts = image.getAttribute("data-spots").split(" "), kind = parts[0].charAt(0), reach = +parts[0].slice(1);
    var spots = parts.slice(1).map(function (part) { return part.split(",").map(Number); });
    function cell(x, y) {
      for (var i = 0; i < spots.length; i += 1) {
        var s = spots[i], wide = (s[2] - s[0]) / s[4], high = (s[3] - s[1]) / s[5];
        var across = Math.floor((x - s[0]) / wide), down = Math.floor((y - s[1]) / high);
        var row = rows[s[6] + across];
        if (across >= 0 && across < s[4] && down >= 0 && down < s[5] && row && text(row.cells[down + 1])) {
          return { x: s[0] + (across + 0.5) * wide, y: s[1] + (down + 0.5) * high, name: heads[down + 1], lines: [[text(row.cells[0]), text(row.cells[down + 1])]] };
        }
      }
      return null;
    }
    function mark(x, y) {
      var best = null, least = reach;
      spots.forEach(function (s) {
        var far = kind === "x" ? Math.abs(s[0] - x) : kind === "y" ? Math.abs(s[1] - y) : Math.hypot(s[0] - x, s[1] - y);
        if (far <= least && rows[s[2]]) { least = far; best = s; }
      });
      return best && { x: best[0], y: best[1], name: text(rows[best[2]].cells[0]), lines: told(heads, rows, rows[best[2]]) };
    }
    return kind === "g" ? cell : mark;
  }
  function show(found, x, y) {
    var width = document.documentElement.clientWidth, height = window.innerHeight, name = document.createElement("b");
    name.textContent = found.name;
    tip.textContent = "";
    tip.appendChild(name);
    found.lines.forEach(function (line) {
      line.forEach(function (each, at) {
        var part = document.createElement("span");
        part.textContent = each;
        if (at) { part.className = "value"; }
        tip.appendChild(part);
      });
    });
    tip.hidden = ring.hidden = false;
    ring.style.left = x + "px";
    ring.style.top = y + "px";
    var box = tip.getBoundingClientRect(), left = x + 16, top = y + 16;
    if (left + box.width > width - 8) { left = x - 16 - box.width; }
    if (left < 8) { left = Math.max(8, Math.min(width - 8 - box.width, x - box.width / 2)); }
    if (top + box.height > height - 8) { top = Math.max(8, Math.min(y - 16 - box.height, height - 8 - box.height)); }
    tip.style.left = left + "px";
    tip.style.top = top + "px";
  }
  document.querySelectorAll("img[data-spots]").forEach(function (image) {
    var find = reader(image);
    if (!find) { return; }
    image.classList.add("told");
    function at(event) {
      var box = image.getBoundingClientRect(), pad = parseFloat(getComputedStyle(image).paddingLeft) || 0;
      var scale = (box.width - 2 * pad) / 1000;
      var found = find((event.clientX - box.left - pad) / scale, (event.clientY - box.top - pad) / scale);
      var same = shown && found && shown.x === found.x && shown.y === found.y && shown.name === found.name;
      if (!found) { hide(); } else if (!same) { show(found, box.left + pad + found.x * scale, box.top + pad + found.y * scale); }
      shown = found;
    }
    image.addEventListener("pointermove", function (event) { if (event.pointerType === "mouse") { at(event); } });
    image.addEventListener("pointerleave", function (event) { if (event.pointerType === "mouse") { hide(); } });
    image.addEventListener("click", at);
  });
  document.addEventListener("click", function (event) { if (!event.target.closest("img.told")) { hide(); } });
  document.addEventListener("keydown", function (event) { if (event.key === "Escape") { hide(); } });
  window.addEventListener("scroll", hide, { capture: true, passive: true });
  window.addEventListener("resize", hide);
})();
