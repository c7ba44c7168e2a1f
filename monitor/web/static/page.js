// Keeps a visible page up to date: the event stream says that something has changed, and the page fetches its content
// again. Only what differs is replaced, so focus, selection and scroll position stay as they are.
"use strict";

(() => {
  const main = document.getElementById("main");
  const live = document.getElementById("live");
  const streamUrl = new URL("../api/v1/stream", document.currentScript.src); // also behind a proxy
  const MIN_INTERVAL = 900; // milliseconds between two fetches, shorter than the pause between two pulses
  const MAX_INTERVAL = 15000; // so that relative times stay true
  if (!main || main.dataset.version === "0" || !window.EventSource) return;

  let stream = null;
  let latest = 0; // the latest version according to the stream
  let fetching = false;
  let timer = 0;
  let fetchedAt = Date.now();
  let announced = status();

  function status() {
    const element = main.querySelector("[data-status]");
    return element ? element.textContent.trim().replace(/\s+/g, " ") : "";
  }

  function showLive(text, state) {
    live.className = "live " + state;
    if (live.textContent !== text) live.textContent = text;
  }

  function shown() {
    return Number(main.dataset.version);
  }

  // Fetch the page when it is due: soon after a change, else only so that relative times stay true.
  function schedule(soon) {
    if (fetching || document.hidden) return;
    window.clearTimeout(timer);
    timer = window.setTimeout(fetchPage, Math.max(0, fetchedAt + (soon ? MIN_INTERVAL : MAX_INTERVAL) - Date.now()));
  }

  async function fetchPage() {
    timer = 0;
    fetching = true;
    fetchedAt = Date.now();
    try {
      const response = await fetch(location.href, { headers: { "X-Fragment": "main" }, cache: "no-store" });
      if (response.ok) {
        const text = await response.text();
        const next = new DOMParser().parseFromString(text, "text/html");
        const version = next.body.querySelector("[data-fleet-version]");
        if (version) {
          main.dataset.version = version.dataset.fleetVersion;
          showTrouble(version.dataset.title, version.dataset.icon);
          version.remove();
        }
        morphChildren(main, next.body);
        announce();
      } else if (response.status === 404) {
        location.reload();
        return;
      }
    } catch (error) {
      // The monitor is away for a moment; the stream shows it, and reconnects by itself.
    }
    fetching = false;
    schedule(latest > shown());
  }

  // A tab in the background shows its title and its icon.
  function showTrouble(title, address) {
    if (document.title !== title) document.title = title;
    const icon = document.getElementById("icon");
    if (icon.getAttribute("href") !== address) icon.setAttribute("href", address);
  }

  function announce() {
    const text = status();
    if (text && text !== announced) showLive("Live · " + text, "on");
    announced = text;
  }

  function keyOf(node) {
    return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id || "" : "";
  }

  function alike(a, b) {
    return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
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
    // Do not overwrite what somebody is typing.
    if (old.matches("#search")) return;
    for (const { name, value } of Array.from(next.attributes)) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of Array.from(old.attributes)) {
      const opened = name === "open" && old.matches("details"); // by somebody who reads it
      if (!opened && !next.hasAttribute(name)) old.removeAttribute(name);
    }
    morphChildren(old, next);
  }

  function listen() {
    if (stream || document.hidden) return;
    const cluster = new URLSearchParams(location.search).get("cluster");
    const query = new URLSearchParams({ event: "pulse" });
    if (cluster) query.set("cluster", cluster);
    stream = new EventSource(streamUrl + "?" + query);
    const onEvent = (event) => {
      latest = JSON.parse(event.data).version;
      showLive(live.textContent.startsWith("Live") ? live.textContent : "Live", "on");
      schedule(latest > shown());
    };
    for (const name of ["hello", "pulse", "refetch"]) stream.addEventListener(name, onEvent);
    stream.addEventListener("error", () => {
      showLive("Not live: reconnecting", "off");
      if (stream && stream.readyState === EventSource.CLOSED) {
        stream = null;
        window.setTimeout(listen, 5000);
      }
    });
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      // A browser has few connections per server, and a hidden page needs none.
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
