(function () {
  "use strict";
  var contents = document.querySelector(".contents details");
  var wide = window.matchMedia("(min-width: 68rem)");
  function fold() { if (contents) { contents.open = wide.matches; } }
  fold();
  if (wide.addEventListener) { wide.addEventListener("change", fold); }
  if (contents) {
    contents.addEventListener("click", function (event) {
      if (event.target.closest("a") && !wide.matches) { contents.open = false; }
    });
  }
  var links = {};
  document.querySelectorAll(".contents a").forEach(function (link) { links[link.hash.slice(1)] = link; });
  if (!window.IntersectionObserver) { return; }
  var observer = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (!entry.isIntersecting) { return; }
      Object.keys(links).forEach(function (key) { links[key].removeAttribute("aria-current"); });
      links[entry.target.id].setAttribute("aria-current", "true");
    });
  }, { rootMargin: "0px 0px -75% 0px" });
  Object.keys(links).forEach(function (key) {
    var heading = document.getElementById(key);
    if (heading) { observer.observe(heading); }
  });
})();
(function () {
  "use strict";
  var source = document.getElementById("page-data");
  var box = document.querySelector(".downloads");
  if (!source || !box) { return; }
  function cell(value) {
    var text = value === null || value === undefined ? "" : String(value);
    if (typeof value === "string" && /^[\s]*[=+\-@|]/.test(text) && !/^[+-]?[\d.]+(e[+-]?\d+)?%?$/i.test(text)) { text = "'" + text; }
    return /[",\r\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
  }
  function lines(rows) { return rows.map(function (row) { return row.map(cell).join(","); }).join("\r\n"); }
  function estimates(data) {
    var names = [];
    data.estimates.forEach(function (row) {
      Object.keys(row).forEach(function (name) { if (names.indexOf(name) < 0) { names.push(name); } });
    });
    return lines([names].concat(data.estimates.map(function (row) {
      return names.map(function (name) { return row[name]; });
    })));
  }
  function tables(data) {
    return data.tables.map(function (table) {
      return lines([[table.caption], table.heads].concat(table.rows));
    }).join("\r\n\r\n");
  }
  box.hidden = false;
  box.addEventListener("click", function (event) {
    var what = event.target.getAttribute("data-take");
    if (!what) { return; }
    var data = JSON.parse(source.textContent);
    var json = what === "page.json";
    var text = json ? JSON.stringify(data, null, 1) : "\ufeff" + (what === "tables.csv" ? tables(data) : estimates(data));
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: json ? "application/json" : "text/csv" }));
    link.download = box.getAttribute("data-name") + "." + what;
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  });
})();
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
