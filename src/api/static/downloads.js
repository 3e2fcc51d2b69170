// Keeps the page of downloads as things are now: progress by /api/events, everything else by the page as the server
// makes it. Without this file the page shows itself anew every few seconds.
(function () {
  var wait = 0;

  function renew() {
    if (wait) return;
    wait = setTimeout(function () {
      fetch("/-/downloads")
        .then(function (r) {
          return r.ok ? r.text() : Promise.reject(r.status);
        })
        .then(function (text) {
          var fresh = new DOMParser().parseFromString(text, "text/html").getElementById("main");
          if (!fresh) return;
          var old = document.getElementById("main");
          var focused = document.activeElement && document.activeElement.id;
          old.replaceWith(fresh);
          if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
        })
        .catch(function () {})
        .then(function () {
          wait = 0;
        });
    }, 300);
  }

  // False: more than the progress has changed.
  function move(id, state) {
    var row = document.getElementById("d-" + id);
    if (!row || !state || row.dataset.status !== state.status) return !row && !state;
    var bar = row.querySelector("progress");
    if (!bar) return true;
    if (state.completion >= 0) {
      bar.value = state.completion;
      row.querySelector(".part").textContent = Math.floor(state.completion * 100) + " %";
    }
    return true;
  }

  function isActive(state) {
    return state && (state.status === "QUEUED" || state.status === "PROCESSING" || state.status === "SAVING");
  }

  var events = new EventSource("/api/events");
  events.addEventListener("change", function (event) {
    var states = JSON.parse(event.data);
    for (var id in states) if (!move(id, states[id])) renew();
  });
  // After the first look, and when the server has forgotten where we were.
  events.addEventListener("snapshot", function (event) {
    var states = JSON.parse(event.data);
    for (var id in states)
      if ((isActive(states[id]) || document.getElementById("d-" + id)) && !move(id, states[id])) renew();
    document.querySelectorAll("[id^=d-]").forEach(function (row) {
      if (!states[row.id.slice(2)]) renew();
    });
  });
  addEventListener("pagehide", function () {
    events.close();
  });
  addEventListener("pageshow", function (event) {
    if (event.persisted) location.reload();
  });
})();
