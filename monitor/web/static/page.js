// Keeps a page true while it is looked at: the monitor says that something has changed, and the page asks for its
// content anew. What is on the page is changed where it differs, so focus, selection and scroll stay where they are.
"use strict";

(() => {
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  const EVERY = 2000; // milliseconds from one look to the next, at least
  const AGES = 15000; // and at most, for what is said of times stays true only so long
  if (!main || main.dataset.version === "0" || !window.EventSource) return;

  let stream = null;
  let known = 0; // the version that the monitor told of last
  let asking = false;
  let timer = 0;
  let asked = Date.now();
  let said = saying();

  function saying() {
    const one = main.querySelector("[data-say]");
    return one ? one.textContent.trim().replace(/\s+/g, " ") : "";
  }

  function say(text, state) {
    live.className = "live " + state;
    if (live.textContent !== text) live.textContent = text;
  }

  function shown() {
    return Number(main.dataset.version);
  }

  // Later, unless a look is due already.
  function look(soon) {
    if (timer || asking || document.hidden) return;
    const wait = Math.max(0, asked + (soon ? EVERY : AGES) - Date.now());
    timer = window.setTimeout(fetchPage, wait);
  }

  async function fetchPage() {
    timer = 0;
    asking = true;
    asked = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { "X-Fragment": "main" }, cache: "no-store" });
      if (answer.ok) {
        const text = await answer.text();
        const next = new DOMParser().parseFromString(text, "text/html");
        const version = next.body.querySelector("[data-fleet-version]");
        if (version) {
          main.dataset.version = version.dataset.fleetVersion;
          version.remove();
        }
        morphChildren(main, next.body);
        announce();
      } else if (answer.status === 404) {
        location.reload();
        return;
      }
    } catch (error) {
      // The monitor is gone for a moment; the stream says so, and comes back by itself.
    }
    asking = false;
    if (timer) return;
    look(known > shown());
  }

  function announce() {
    const now = saying();
    if (now && now !== said) say("Live · " + now, "on");
    said = now;
  }

  function keyOf(node) {
    return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id || "" : "";
  }

  function alike(one, other) {
    return one.nodeType === other.nodeType && one.nodeName === other.nodeName && keyOf(one) === keyOf(other);
  }

  function morphChildren(old, next) {
    const keyed = new Map();
    for (const child of old.children) if (keyOf(child)) keyed.set(child.nodeName + keyOf(child), child);
    let at = old.firstChild;
    for (const want of Array.from(next.childNodes)) {
      const key = keyOf(want);
      const have = key ? keyed.get(want.nodeName + key) : at && !keyOf(at) && alike(at, want) ? at : null;
      if (have) {
        if (have === at) at = at.nextSibling;
        else old.insertBefore(have, at);
        morph(have, want);
      } else {
        const made = document.importNode(want, true);
        old.insertBefore(made, at);
        if (key && made.matches("li, tr")) made.classList.add("fresh");
      }
    }
    while (at) {
      const after = at.nextSibling;
      at.remove();
      at = after;
    }
  }

  function morph(old, next) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
      return;
    }
    if (old.isEqualNode(next)) return;
    // What somebody is typing is theirs.
    if (old.matches("form")) return;
    for (const { name, value } of Array.from(next.attributes)) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of Array.from(old.attributes)) if (!next.hasAttribute(name)) old.removeAttribute(name);
    morphChildren(old, next);
  }

  function listen() {
    if (stream || document.hidden) return;
    const cluster = new URLSearchParams(location.search).get("cluster");
    const query = new URLSearchParams({ event: "pulse" });
    if (cluster) query.set("cluster", cluster);
    stream = new EventSource("/api/v1/stream?" + query);
    const hear = (event) => {
      known = JSON.parse(event.data).version;
      say(live.textContent.startsWith("Live") ? live.textContent : "Live", "on");
      look(known > shown());
    };
    for (const name of ["hello", "pulse", "refetch"]) stream.addEventListener(name, hear);
    stream.addEventListener("error", () => {
      say("Not live: waiting for the monitor", "off");
      if (stream && stream.readyState === EventSource.CLOSED) {
        stream = null;
        window.setTimeout(listen, 5000);
      }
    });
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      // A browser has few connections for one address, and a page that nobody sees needs none.
      if (stream) stream.close();
      stream = null;
      window.clearTimeout(timer);
      timer = 0;
    } else {
      listen();
    }
  });
  window.addEventListener("pagehide", () => {
    if (stream) stream.close();
    stream = null;
  });
  window.addEventListener("pageshow", listen);
  listen();
})();
