// Takes the token from the address's fragment, which browsers never send, and exchanges it for a cookie.
"use strict";

const token = new URLSearchParams(window.location.hash.slice(1)).get("token");
const form = document.querySelector("form");
if (token && form) {
  const path = window.location.pathname + window.location.search;
  form.elements.token.value = token;
  form.elements.next.value = path === "/login" ? "/" : path;
  window.history.replaceState(null, "", path);
  form.submit();
}
