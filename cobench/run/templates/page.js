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
    // A column is a list of values, or one value where all rows agree.
    var columns = data.estimates.columns, names = Object.keys(columns), rows = [names];
    for (var i = 0; i < data.estimates.n; i += 1) {
      rows.push(names.map(function (name) { return Array.isArray(columns[name]) ? columns[name][i] : columns[name]; }));
    }
    return lines(rows);
  }
  function tables(data) {
    return data.tables.map(function (table) {
      var rows = [[table.caption], table.heads];
      for (var i = 0; i < table.n; i += 1) {
        rows.push(table.cells.map(function (cells) { return Array.isArray(cells) ? cells[i] : cells; }));
      }
      return lines(rows);
    }).join("\r\n\r\n");
  }
  box.hidden = false;
  box.addEventListener("click", function (event) {
    var what = event.target.getAttribute("data-take");
    if (!what) { return; }
    read().then(function (data) { give(what, data); }, function () {
      box.querySelector("[role=status]").textContent = box.getAttribute("data-old");
    });
  });
  function read() {
    // A long block is compressed: "deflate:" and base64.
    var content = JSON.parse(source.textContent);
    if (typeof content !== "string") { return Promise.resolve(content); }
    if (!window.DecompressionStream) { return Promise.reject(); }
    var bytes = Uint8Array.from(atob(content.slice(8)), function (each) { return each.charCodeAt(0); });
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }
  function give(what, data) {
    var json = what === "page.json";
    var text = json ? JSON.stringify(data, null, 1) : "\ufeff" + (what === "tables.csv" ? tables(data) : estimates(data));
    var link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: json ? "application/json" : "text/csv" }));
    link.download = box.getAttribute("data-name") + "." + what;
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  }
})();
