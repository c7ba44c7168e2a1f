// Buttons that copy the text before them, and the key that leads to the search.
"use strict";

(() => {
  const copied = document.getElementById("copied");
  const q = () => document.getElementById("q");
  document.documentElement.classList.add("scripted"); // shows the buttons

  // The clipboard of the browser exists only for https and localhost; elsewhere a selection is copied.
  async function copyText(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    area.setAttribute("aria-hidden", "true");
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("the browser does not copy");
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    let result = "Copied";
    try {
      await copyText(button.previousElementSibling.textContent);
    } catch (error) {
      result = "The browser does not allow to copy: select the text instead";
    }
    button.focus({ preventScroll: true });
    copied.textContent = result; // read aloud
    button.classList.add(result === "Copied" ? "done" : "refused");
    window.setTimeout(() => {
      copied.textContent = "";
      button.classList.remove("done", "refused");
    }, 2000);
  });

  // As on many pages, / leads to the search, unless somebody is typing.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, [contenteditable]");
    if (event.key !== "/" || event.ctrlKey || event.altKey || event.metaKey || typing || !q()) return;
    event.preventDefault();
    document.getElementById("search").open = true;
    q().focus();
    q().select();
  });
})();
