// Arrow keys follow the page's own previous and next links; everything works without this file too.
addEventListener("keydown", function (event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (/^(input|textarea|select)$/i.test(event.target.tagName)) return;
  var rtl = document.documentElement.dataset.rtl === "1";
  var rel = event.key === "ArrowRight" ? (rtl ? "prev" : "next") : event.key === "ArrowLeft" ? (rtl ? "next" : "prev") : "";
  var link = rel && document.querySelector('a[rel~="' + rel + '"][href]');
  if (!link) return;
  event.preventDefault();
  link.click();
});
