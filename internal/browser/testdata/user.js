// What a user can do on a page. Each function does it at once, so that a page that refreshes
// itself cannot replace an element between its look-up and its use. It returns "" or why not.
(() => {
  "use strict";
  const norm = (text) => text.replace(/\s+/g, " ").trim();
  const shown = (e) => e.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) && e.getClientRects().length > 0;
  // one returns the only element that is shown, matches and has the text.
  const one = (selector, text) => {
    const all = [...document.querySelectorAll(selector)].filter((e) => shown(e) && (!text || norm(e.innerText || e.value || "") === text));
    return all.length === 1 ? [all[0], ""] : [null, `${all.length} elements ${selector} ${text} on ${location.pathname}`];
  };
  // reachable reports whether a click in the middle of an element reaches it.
  const reachable = (e) => {
    e.scrollIntoView({ block: "center", behavior: "instant" });
    const r = e.getClientRects()[0];
    const top = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
    return top && (e.contains(top) || top.contains(e) && top.closest("label") !== null) ? "" : `covered by ${top ? top.outerHTML.slice(0, 200) : "nothing"}`;
  };
  return {
    press(selector, text) {
      const [e, why] = one(selector, text);
      if (!e) return why;
      if (e.disabled) return "disabled";
      const covered = reachable(e);
      if (!covered) e.click();
      return covered;
    },
    fill(selector, value) {
      const [e, why] = one(selector, "");
      if (!e) return why;
      e.focus();
      e.value = value;
      e.dispatchEvent(new Event("input", { bubbles: true }));
      e.dispatchEvent(new Event("change", { bubbles: true }));
      return "";
    },
    submit(selector) {
      const [e, why] = one(selector, "");
      if (e) e.requestSubmit();
      return why;
    },
    drop(selector, name, content) {
      const [e, why] = one(selector, "");
      if (!e) return why;
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([content], name));
      for (const type of ["dragenter", "dragover", "drop"]) e.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
      return "";
    },
    text: (selector) => [...document.querySelectorAll(selector)].map((e) => norm(e.innerText)).join("\n"),
    path: () => location.pathname + location.search,
  };
})()
