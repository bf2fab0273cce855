"""How does the page of a run that still goes stay up to date without flicker?

It fetches itself every two seconds and takes over the parts that differ: one renderer, nothing that
a text could inject. What a reader has opened stays open.
"""

from __future__ import annotations

__all__ = ["SCRIPT"]

SCRIPT = """<p id="lost" role="status" class="lost"></p><script>
"use strict";
(() => {
  const every = 2000, main = document.querySelector("main");
  const lost = document.getElementById("lost");
  function swap(mine, next) {
    if (mine.isEqualNode(next)) return;
    const open = [...mine.querySelectorAll("details")].map((each) => each.open);
    const focused = mine.contains(document.activeElement);
    next = document.adoptNode(next);
    next.querySelectorAll("details").forEach((each, at) => { each.open = Boolean(open[at]); });
    if (!mine.isEqualNode(next)) mine.replaceWith(next);
    const target = focused && next.querySelector("summary");
    if (target) target.focus({preventScroll: true});
  }
  async function look() {
    const stop = new AbortController(), timer = setTimeout(() => stop.abort(), 10000);
    try {
      const answer = await fetch(".", {cache: "no-store", signal: stop.signal});
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const mine = [...main.children], next = [...page.querySelector("main").children];
      mine.forEach((each, at) => next[at] ? swap(each, next[at]) : each.remove());
      next.slice(mine.length).forEach((each) => main.append(document.adoptNode(each)));
      document.title = page.title;
      lost.textContent = "";
    } finally { clearTimeout(timer); }
  }
  async function loop() {
    try {
      if (!document.hidden) await look();
    } catch (error) {
      lost.textContent = "The run no longer answers: it is over, its report is in its folder.";
    }
    setTimeout(loop, every);
  }
  setTimeout(loop, every);
})();
</script>"""
