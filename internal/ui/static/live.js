// Refreshes a page with <main data-live="3"> every 3 s while it is visible. Without this file the
// pages work, and refresh themselves by <meta http-equiv="refresh">.
(() => {
  "use strict";
  const main = () => document.querySelector("main[data-live]");
  if (!main()) return;

  // busy reports whether the user is filling in a form.
  const busy = (root) => {
    const active = document.activeElement;
    if (active && root.contains(active) && active.closest("form") && active.matches("input, select, textarea")) return true;
    return [...root.querySelectorAll("input, select, textarea")].some((e) =>
      e.type === "hidden" || e.type === "submit" ? false :
      e.type === "checkbox" || e.type === "radio" ? e.checked !== e.defaultChecked :
      e.tagName === "SELECT" ? [...e.options].some((o) => o.selected !== o.defaultSelected) && e.selectedIndex > 0 :
      e.value !== e.defaultValue);
  };

  // keep puts what the user has opened, and elements that did not change, into the new page: a
  // screen reader announces a live region again only if its text changes.
  const keep = (from, to) => {
    for (const old of from.querySelectorAll("details[id][open]")) {
      const now = to.querySelector("#" + CSS.escape(old.id));
      if (now) now.open = true;
    }
    for (const old of from.querySelectorAll("[aria-live][id]")) {
      const now = to.querySelector("#" + CSS.escape(old.id));
      if (now && now.isEqualNode(old)) now.replaceWith(old);
    }
  };

  const refresh = async () => {
    const old = main();
    if (document.hidden || !old || busy(old)) return;
    const stale = document.getElementById("stale");
    try {
      const response = await fetch(location.href, { headers: { "Rollcall-Live": "1" }, signal: AbortSignal.timeout(10000) });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (response.redirected) {
        location.reload(); // the session has ended
        return;
      }
      const next = page.querySelector("main");
      if (!response.ok || !next) throw new Error("no page");
      if (busy(old)) return;
      const focused = document.activeElement && old.contains(document.activeElement) ? document.activeElement.id : "";
      keep(old, next);
      old.replaceChildren(...next.childNodes);
      if (!next.matches("[data-live]")) old.removeAttribute("data-live"); // nothing changes any more
      document.title = page.title;
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
      if (stale) stale.hidden = true;
    } catch {
      if (stale) stale.hidden = false;
    }
  };
  const tick = async () => {
    await refresh();
    if (main()) setTimeout(tick, every);
  };
  const every = 1000 * Number(main().dataset.live);
  setTimeout(tick, every);
  document.addEventListener("visibilitychange", refresh);
})();
