// What is wrong with the layout of a page, as a list of sentences. words is a pattern of the
// Latin words that a Chinese page may have; "" for a page in English.
((words) => {
  "use strict";
  const faults = [];
  const show = (text) => JSON.stringify(text.replace(/\s+/g, " ").trim().slice(0, 60));
  const shown = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  // hidden reports whether an element is for screen readers alone.
  const hidden = (e) => e.closest(".hidden, .skip, table.stack thead") && getComputedStyle(e.closest(".hidden, .skip, table.stack thead")).clipPath !== "none";

  const html = document.documentElement;
  if (html.scrollWidth > html.clientWidth) {
    const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > html.clientWidth + 1 && !e.children.length);
    faults.push(`the page is ${html.scrollWidth} px wide, of ${html.clientWidth}: ${wide.slice(0, 3).map((e) => e.tagName + show(e.textContent)).join(", ")}`);
  }

  // Texts with their boxes.
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || parent.closest("script, style, noscript, option") || !shown(parent) || hidden(parent)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) if (box.width > 0.5) texts.push({ node, parent, box });
  }
  for (const { node, parent, box } of texts) {
    for (let e = parent; e && e !== document.body; e = e.parentElement) {
      const style = getComputedStyle(e);
      if (style.overflowX === "visible" || style.display === "inline") continue;
      const outer = e.getBoundingClientRect();
      if (box.right > outer.right + 1 || box.left < outer.left - 1) {
        faults.push(`${show(node.data)} is clipped by <${e.tagName.toLowerCase()} class="${e.className}">, which ends at ${Math.round(outer.right)} of ${Math.round(box.right)}`);
        break;
      }
    }
  }
  // Words that are broken, though there are others to break at.
  for (const { node } of texts) {
    for (const word of node.data.matchAll(/[A-Za-z]+/g)) {
      if (word[0].length > 14 || /[\w/*…-]/.test(node.data[word.index - 1] ?? " ") || /[\w/*…-]/.test(node.data[word.index + word[0].length] ?? " ")) continue;
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) faults.push(`the word ${word[0]} is broken`);
    }
  }
  // Labels of cells, which are no texts of the document, need their whole width.
  for (const e of document.querySelectorAll("table.stack td[data-label]")) {
    const style = getComputedStyle(e, "::before");
    if (style.content === "none" || !e.checkVisibility()) continue;
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.font = style.font;
    const longest = Math.max(...e.dataset.label.split(" ").map((word) => canvas.measureText(word).width));
    if (parseFloat(style.width) + 1 < longest) faults.push(`the label ${e.dataset.label} is broken: ${style.width} of ${longest}`);
  }
  // Overlaps of texts of different elements, with a tolerance for the room above and below letters.
  const room = 4;
  texts.sort((a, b) => a.box.top - b.box.top);
  for (let i = 0; i < texts.length; i++) {
    for (let k = i + 1; k < texts.length && texts[k].box.top < texts[i].box.bottom - room; k++) {
      const a = texts[i], b = texts[k];
      const width = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
      const height = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
      if (a.node !== b.node && width > 2 && height > room) faults.push(`${show(a.node.data)} overlaps ${show(b.node.data)}`);
    }
  }
  // Buttons and links that touch each other, or are too small for a finger.
  const targets = [...document.querySelectorAll("button, a.button, input:not([type=hidden]), select, summary")].filter((e) => shown(e) && !hidden(e));
  for (const e of targets) {
    const box = e.getBoundingClientRect();
    for (const other of targets) {
      if (other === e || e.contains(other) || other.contains(e)) continue;
      const o = other.getBoundingClientRect();
      if (Math.min(box.right, o.right) - Math.max(box.left, o.left) > 1 && Math.min(box.bottom, o.bottom) - Math.max(box.top, o.top) > 1 && box.top <= o.top) {
        faults.push(`${e.tagName} ${show(e.innerText || e.name)} covers ${other.tagName} ${show(other.innerText || other.name)}`);
      }
    }
    if (e.matches("input:not([type=checkbox])") && e.placeholder && !e.value) {
      const style = getComputedStyle(e);
      const canvas = document.createElement("canvas").getContext("2d");
      canvas.font = style.font;
      const room = box.width - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - (e.type === "search" ? 0 : 0);
      if (canvas.measureText(e.placeholder).width > room) faults.push(`the placeholder ${show(e.placeholder)} does not fit`);
    }
  }

  if (words) {
    const may = new RegExp(words, "g");
    const foreign = (text, where) => {
      const rest = text.replace(may, " ").match(/[A-Za-z]{2,}/g);
      if (rest) faults.push(`not Chinese: ${show(rest.join(" "))} in ${where} ${show(text)}`);
    };
    const own = (e) => e.closest("[lang=en], [translate=no], code, script, style, noscript") || e.matches("option") && e.closest("[data-names]");
    const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = all.nextNode(); node; node = all.nextNode()) {
      if (!own(node.parentElement)) foreign(node.data, node.parentElement.tagName.toLowerCase());
    }
    for (const e of document.querySelectorAll("[placeholder], [aria-label], [title], [alt], [data-label]")) {
      if (own(e)) continue;
      for (const name of ["placeholder", "aria-label", "title", "alt", "data-label"]) foreign(e.getAttribute(name) ?? "", name);
    }
    foreign(document.title, "title");
  }
  return [...new Set(faults)];
})
