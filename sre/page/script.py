"""How does an open page stay true without a reload?

It asks for the data every few seconds. When that has changed, it fetches the page itself and takes
over the parts that differ: one renderer, no flicker, nothing that a text could inject.
"""

from __future__ import annotations

__all__ = ["SCRIPT"]

SCRIPT = """
"use strict";
(() => {
  const every = 3000, root = document.documentElement;
  const at = document.getElementById("at"), lost = document.getElementById("lost");
  const same = (mine, next) => {
    if (mine.className !== next.className) mine.className = next.className;
  };
  function swap(mine, next) {
    if (mine.hasAttribute("data-live")) {
      if (mine.textContent !== next.textContent) mine.textContent = next.textContent;
      same(mine, next);
      return;
    }
    const open = mine.querySelector("details[open]"), fresh = next.querySelector("details");
    const kept = mine.querySelector("details");
    if (kept && fresh) fresh.open = Boolean(open);
    if (mine.isEqualNode(next)) return;
    const focused = mine.contains(document.activeElement);
    mine.replaceWith(document.adoptNode(next));
    const target = focused && next.querySelector("summary, a");
    if (target) target.focus({preventScroll: true});
  }
  function sync(mine, next) {
    if (!next.hasAttribute("data-list")) { swap(mine, next); return; }
    same(mine, next);
    const old = new Map([...mine.children].map((child) => [child.dataset.key, child]));
    let place = mine.firstElementChild;
    for (const child of [...next.children]) {
      const have = old.get(child.dataset.key);
      if (!have) { mine.insertBefore(document.adoptNode(child), place); continue; }
      old.delete(child.dataset.key);
      if (have === place) place = place.nextElementSibling;
      else mine.insertBefore(have, place);
      sync(have, child);
    }
    for (const gone of old.values()) gone.remove();
  }
  async function get(path) {
    const stop = new AbortController(), timer = setTimeout(() => stop.abort(), 10000);
    try {
      const answer = await fetch(path, {cache: "no-store", signal: stop.signal});
      if (!answer.ok) throw new Error(String(answer.status));
      return await answer.text();
    } finally { clearTimeout(timer); }
  }
  async function look() {
    const data = JSON.parse(await get("-/status.json"));
    if (data.revision !== root.dataset.revision) {
      const page = new DOMParser().parseFromString(await get("."), "text/html");
      sync(document.querySelector("main"), page.querySelector("main"));
      document.title = page.title;
      const shape = page.querySelector("link[rel=icon]").getAttribute("href");
      document.querySelector("link[rel=icon]").setAttribute("href", shape);
      root.dataset.revision = page.documentElement.dataset.revision;
    }
    at.textContent = data.now.slice(11, 19);
    at.dateTime = data.now;
    lost.textContent = "";
  }
  async function loop() {
    try {
      if (!document.hidden) await look();
    } catch (error) {
      lost.textContent = "Not up to date: no answer from sre probe serve";
    }
    setTimeout(loop, every);
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) look().catch(() => {});
  });
  setTimeout(loop, every);
})();
"""
