(function () {
  "use strict";
  var root = document.documentElement;
  var codes = { zh: "zh-CN", en: "en" };
  var main = document.getElementById("content");
  var search = document.getElementById("search");
  var byKind = document.getElementById("by-kind");
  var byState = document.getElementById("by-state");
  var bySchool = document.getElementById("by-school");
  var shown = document.getElementById("shown");
  var language = root.lang === "en" ? "en" : "zh";

  function remembered() {
    if (/^#(zh|en)$/.test(location.hash)) { return location.hash.slice(1); }
    try { return localStorage.getItem("cobench-language"); } catch (error) { return null; }
  }
  function speak(next) {
    language = next;
    root.lang = codes[next];
    document.title = main.getAttribute("data-title-" + next);
    document.querySelectorAll("[data-" + next + "]").forEach(function (element) {
      var text = element.getAttribute("data-" + next);
      if (element.tagName === "OPTION") { element.textContent = text; }
      else if (element !== shown) { element.setAttribute("aria-label", text); }
      if (element.tagName === "INPUT") { element.placeholder = text; }
    });
    document.querySelectorAll("[data-language]").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.getAttribute("data-language") === next));
    });
    filter();
  }
  function fold(text) { return text.normalize("NFKC").toLowerCase(); }
  function filter() {
    var words = fold(search.value).split(/\s+/).filter(Boolean);
    var items = document.querySelectorAll(".item");
    var count = 0;
    items.forEach(function (item) {
      var text = fold(item.getAttribute("data-text"));
      var kinds = item.getAttribute("data-kind").split(" ");
      var fits = words.every(function (word) { return text.indexOf(word) >= 0; }) &&
        (!byKind.value || kinds.indexOf(byKind.value) >= 0) &&
        (!byState.value || item.getAttribute("data-state") === byState.value) &&
        (!bySchool || !bySchool.value || item.getAttribute("data-school") === bySchool.value);
      item.hidden = !fits;
      count += fits ? 1 : 0;
    });
    document.querySelectorAll(".group").forEach(function (group) {
      group.hidden = !group.querySelector(".item:not([hidden])");
    });
    document.getElementById("nothing").hidden = count > 0;
    shown.textContent = shown.getAttribute("data-" + language)
      .replace("{shown}", count).replace("{total}", items.length);
  }
  document.querySelector(".controls").hidden = false;
  [search, byKind, byState, bySchool].filter(Boolean).forEach(function (control) {
    control.addEventListener("input", filter);
    control.addEventListener("change", filter);
  });
  document.querySelectorAll("[data-language]").forEach(function (button) {
    button.addEventListener("click", function () {
      var next = button.getAttribute("data-language");
      try { localStorage.setItem("cobench-language", next); } catch (error) { /* private windows refuse it */ }
      speak(next);
    });
  });
  window.addEventListener("hashchange", function () { speak(remembered() || language); });
  var first = remembered();
  speak(codes[first] ? first : language);
})();
