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
