(function () {
  "use strict";
  // Tables sort by a click on a head; the page's own order comes back with the third click.
  var plain = /^[\s<≥≤]*([+\-\u2212]?[\d,]*\.?\d+)/;
  function key(row, at) {
    var text = row.cells[at] ? row.cells[at].textContent.trim() : "";
    var found = plain.exec(text);
    return found ? parseFloat(found[1].replace(/,/g, "").replace("\u2212", "-")) : text;
  }
  document.querySelectorAll("main table").forEach(function (table) {
    var body = table.tBodies[0];
    if (!body || body.rows.length < 4 || !table.tHead || table.querySelector("[rowspan],tbody [colspan]")) { return; }
    var first = Array.prototype.slice.call(body.rows);
    Array.prototype.forEach.call(table.tHead.rows[table.tHead.rows.length - 1].cells, function (head, at) {
      if (!head.textContent.trim()) { return; }
      var button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      while (head.firstChild) { button.appendChild(head.firstChild); }
      head.appendChild(button);
      button.addEventListener("click", function () {
        var was = head.getAttribute("aria-sort");
        var next = was === "descending" ? null : was === "ascending" ? "descending" : "ascending";
        table.querySelectorAll("[aria-sort]").forEach(function (each) { each.removeAttribute("aria-sort"); });
        var rows = first.slice();
        if (next) {
          head.setAttribute("aria-sort", next);
          rows.sort(function (a, b) {
            var x = key(a, at), y = key(b, at);
            if (typeof x !== typeof y) { return typeof x === "number" ? -1 : 1; }
            var order = typeof x === "number" ? x - y : x.localeCompare(y, document.documentElement.lang);
            return next === "ascending" ? order : -order;
          });
        }
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
  });
})();
