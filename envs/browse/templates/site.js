"use strict";
// What the pages do by themselves: menus, tabs, dialogs, filters, sorting. All of it at once, within the event.
(() => {
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const by = (id) => document.getElementById(id);
  for (const el of all("[data-toggle]")) el.addEventListener("click", () => {
    const target = by(el.dataset.toggle);
    target.hidden = !target.hidden;
    el.setAttribute("aria-expanded", String(!target.hidden));
  });
  for (const el of all("[role=tab]")) el.addEventListener("click", () => {
    for (const other of all("[role=tab]", el.parentElement)) {
      other.setAttribute("aria-selected", String(other === el));
      by(other.getAttribute("aria-controls")).hidden = other !== el;
    }
  });
  for (const el of all("[data-dialog]")) el.addEventListener("click", () => by(el.dataset.dialog).showModal());
  for (const el of all("dialog[data-open]")) el.showModal();
  for (const el of all("[data-close]")) el.addEventListener("click", () => el.closest("dialog").close(el.value));
  for (const el of all("[data-reveal]")) el.addEventListener("click", () => {
    by(el.dataset.reveal).textContent = Array.from(by(el.dataset.reveal).dataset.text).reverse().join("");
  });
  for (const el of all("input[data-filter]")) el.addEventListener("input", () => {
    const wanted = el.value.toLowerCase();
    for (const row of all("[data-row]", by(el.dataset.filter))) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  for (const el of all("button[data-sort]")) el.addEventListener("click", () => {
    const body = el.closest("table").tBodies[0], column = el.closest("th").cellIndex;
    const sign = el.getAttribute("aria-pressed") === "true" ? -1 : 1;
    for (const other of all("button[data-sort]", el.closest("tr"))) other.setAttribute("aria-pressed", "false");
    el.setAttribute("aria-pressed", String(sign === 1));
    const value = (row) => { const text = row.cells[column].textContent.trim(); return el.dataset.sort === "number" ? Number(text) : text; };
    Array.from(body.rows).sort((a, b) => { const x = value(a), y = value(b); return sign * (x < y ? -1 : x > y ? 1 : 0); })
      .forEach((row) => body.append(row));
  });
  for (const el of all("input[data-shows]")) el.addEventListener("input", () => { by(el.dataset.shows).textContent = el.value; });
  for (const el of all("button[data-step]")) el.addEventListener("click", () => {
    const field = by(el.dataset.field);
    field.value = String(Number(field.value) + Number(el.dataset.step));
  });
  for (const el of all("select[data-part]")) {
    const show = () => { for (const part of all("[data-if]", by(el.dataset.part))) part.hidden = part.dataset.if !== el.value; };
    el.addEventListener("change", show);
    show();
  }
})();
