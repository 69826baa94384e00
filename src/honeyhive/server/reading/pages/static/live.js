// Says that there are new traces, by the live tail; the page is never changed under the reader's eyes.
"use strict";

const notice = document.getElementById("news");
if (notice) {
  const seen = new Set();
  const query = new URLSearchParams(window.location.search);
  const wanted = new URLSearchParams(query.get("project") ? { project: query.get("project") } : {});
  const scheme = window.location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${window.location.host}/v1/live?${wanted}`);
  socket.addEventListener("message", (event) => {
    for (const span of JSON.parse(event.data).spans) {
      if (!query.get("errors") || span.error !== null) {
        seen.add(span.trace_id);
      }
    }
    if (seen.size) {
      notice.querySelector("a").textContent = seen.size === 1 ? "Show 1 new trace" : `Show ${seen.size} new traces`;
      notice.hidden = false;
    }
  });
}
