// Reads a page as an assistive program would: roles, names, values and states, in lines of text, and finds what is to be
// acted on. Runs in an isolated world, so that scripts of the page neither see nor change it. Roles and names follow
// WAI-ARIA 1.2, HTML-AAM and accname 1.2, as far as the tags and attributes below go.
globalThis.walker = (() => {
  "use strict";
  const MOST_NODES = 6000, MOST_LINES = 1500, MOST_TEXT = 300, MOST_DEPTH = 200;
  const refs = new Map();  // number -> element
  const numbers = new WeakMap();  // element -> number
  let next = 1;

  const INPUTS = {
    button: "button", submit: "button", reset: "button", image: "button", checkbox: "checkbox", radio: "radio",
    range: "slider", number: "spinbutton", search: "searchbox", email: "textbox", tel: "textbox", text: "textbox",
    url: "textbox", password: "textbox", date: "date", time: "time", month: "month", week: "week",
    "datetime-local": "datetime", color: "color", file: "file",
  };
  const TAGS = {
    BUTTON: "button", TEXTAREA: "textbox", SUMMARY: "disclosure", H1: "heading", H2: "heading", H3: "heading",
    H4: "heading", H5: "heading", H6: "heading", NAV: "navigation", TABLE: "table", TR: "row", TD: "cell",
    UL: "list", OL: "list", LI: "listitem", DIALOG: "dialog", FIELDSET: "group", OPTION: "option",
    ARTICLE: "article", PROGRESS: "progressbar", OUTPUT: "status", DETAILS: "group",
  };
  const ACTED = new Set(["button", "link", "checkbox", "radio", "switch", "slider", "spinbutton", "searchbox", "textbox",
    "combobox", "listbox", "tab", "menuitem", "menuitemcheckbox", "menuitemradio", "option", "disclosure", "date", "time",
    "month", "week", "datetime", "color", "file", "treeitem"]);
  const NAMED_BY_CONTENT = new Set(["button", "link", "checkbox", "radio", "switch", "tab", "menuitem", "menuitemcheckbox",
    "menuitemradio", "option", "disclosure", "heading", "cell", "columnheader", "rowheader", "treeitem", "tooltip"]);
  const HOLDERS = new Set(["dialog", "alertdialog", "navigation", "form", "table", "grid", "article", "group", "radiogroup",
    "tablist", "tabpanel", "menu", "menubar", "alert", "status", "region", "search", "list", "toolbar"]);
  const ROLES = new Set([...ACTED, ...NAMED_BY_CONTENT, ...HOLDERS, "row", "listitem", "img", "presentation", "none",
    "progressbar", "paragraph", "main", "banner", "contentinfo", "complementary", "rowgroup"]);
  const SKIPPED = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "META", "LINK", "TITLE", "DATALIST", "IFRAME",
    "OBJECT", "EMBED", "AUDIO", "VIDEO", "CANVAS", "SVG", "MAP", "FRAME", "FRAMESET"]);
  const BLOCKS = new Set(["P", "DIV", "LI", "TR", "SECTION", "ARTICLE", "HEADER", "FOOTER", "MAIN", "NAV", "FORM", "TABLE",
    "UL", "OL", "FIELDSET", "DIALOG", "DETAILS", "SUMMARY", "PRE", "BLOCKQUOTE", "HR", "DL", "DT", "DD", "THEAD", "TBODY",
    "H1", "H2", "H3", "H4", "H5", "H6", "BODY", "ASIDE", "LEGEND", "CAPTION", "LABEL"]);

  const flat = (text) => text.replace(/[\s\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+/g, " ").trim();
  const short = (text) => (text.length > MOST_TEXT ? text.slice(0, MOST_TEXT) + "…" : text);
  // What a page says must not pass for what can be acted on.
  const OPEN = "\ue000";  // stands for the bracket of a reference until a line is done; a page cannot write it
  const harmless = (text) => text.replace(/\ue000/g, "");
  const quoted = (text) => `"${short(harmless(text)).replace(/"/g, "'")}"`;

  function roleOf(el) {
    const given = (el.getAttribute("role") || "").toLowerCase().split(/\s+/).find((each) => ROLES.has(each));
    if (given) return given === "none" ? "presentation" : given;
    const tag = el.tagName;
    if (tag === "A" || tag === "AREA") return el.hasAttribute("href") ? "link" : "";
    if (tag === "INPUT") return el.type === "hidden" ? "presentation" : el.hasAttribute("list") && INPUTS[el.type] === "textbox" ?
      "combobox" : INPUTS[el.type] || "textbox";
    if (tag === "SELECT") return el.multiple || el.size > 1 ? "listbox" : "combobox";
    if (tag === "IMG") return el.getAttribute("alt") === "" ? "presentation" : "img";
    if (tag === "TH") return el.scope === "row" ? "rowheader" : "columnheader";
    if (tag === "FORM" || tag === "SECTION") return el.hasAttribute("aria-label") || el.hasAttribute("aria-labelledby") ?
      (tag === "FORM" ? "form" : "region") : "";
    if (tag === "SUMMARY" && !(el.parentElement && el.parentElement.tagName === "DETAILS")) return "";
    return TAGS[tag] || "";
  }

  const top = () => { const all = document.querySelectorAll("dialog:modal"); return all.length ? all[all.length - 1] : null; };

  function hidden(el) {
    if (!el.isConnected || !el.checkVisibility({visibilityProperty: true, contentVisibilityAuto: false})) return true;
    if (el.closest("[aria-hidden=true], [inert]")) return true;
    const modal = top();
    return modal !== null && !modal.contains(el);
  }

  // The text of an element for a name: what is hidden is left out, unless it was named by its id.
  function content(el, asked, budget) {
    let text = "";
    for (const node of el.childNodes) {
      if (--budget.left < 0 || text.length > 2 * MOST_TEXT) break;
      if (node.nodeType === 3) text += node.data;
      else if (node.nodeType === 1 && !SKIPPED.has(node.tagName.toUpperCase())) {
        if (!asked && (node.getAttribute("aria-hidden") === "true" || !node.checkVisibility({visibilityProperty: true}))) continue;
        const role = roleOf(node);
        const label = flat(node.getAttribute("aria-label") || "");
        const inner = label || (node.tagName === "IMG" ? node.alt || "" : role === "combobox" || role === "listbox" ?
          Array.from(node.selectedOptions || []).map((each) => each.text).join(" ") :
          node.tagName === "INPUT" || node.tagName === "TEXTAREA" ? (role === "checkbox" || role === "radio" ? "" : node.value) :
          content(node, asked, budget));
        const block = BLOCKS.has(node.tagName) || getComputedStyle(node).display.startsWith("block");
        text += block ? ` ${inner} ` : inner;
      }
    }
    return text;
  }

  function nameOf(el, role) {
    const budget = {left: 400};
    const ids = (el.getAttribute("aria-labelledby") || "").split(/\s+/).filter(Boolean);
    if (ids.length) {
      const found = ids.map((id) => document.getElementById(id)).filter(Boolean);
      const text = flat(found.map((each) => flat(each.getAttribute("aria-label") || "") || content(each, true, budget)).join(" "));
      if (text) return text;
    }
    const label = flat(el.getAttribute("aria-label") || "");
    if (label) return label;
    const tag = el.tagName;
    if (tag === "INPUT" && ["submit", "button", "reset"].includes(el.type)) {
      const value = flat(el.value);
      if (value) return value;
      if (el.type !== "button") return el.type === "submit" ? "Submit" : "Reset";
    }
    if (tag === "IMG" || (tag === "INPUT" && el.type === "image")) { if (flat(el.alt || "")) return flat(el.alt); }
    if (el.labels && el.labels.length) {
      const text = flat(Array.from(el.labels).map((each) => labelText(each, el, budget)).join(" "));
      if (text) return text;
    }
    if (tag === "FIELDSET") { const legend = el.querySelector(":scope > legend"); if (legend) return flat(content(legend, false, budget)); }
    if (tag === "TABLE") { const caption = el.caption; if (caption) return flat(content(caption, false, budget)); }
    if (NAMED_BY_CONTENT.has(role)) { const text = flat(content(el, false, budget)); if (text) return text; }
    return flat(el.getAttribute("title") || "") || flat(el.getAttribute("placeholder") || "");
  }

  function labelText(label, control, budget) {
    let text = "";
    for (const node of label.childNodes) {
      if (node === control) continue;
      if (node.nodeType === 3) text += node.data;
      else if (node.nodeType === 1) text += node.contains(control) ? labelText(node, control, budget) :
        node.checkVisibility({visibilityProperty: true}) ? content({childNodes: [node]}, false, budget) : "";
    }
    return text;
  }

  const disabled = (el) => el.matches(":disabled") || el.closest("[aria-disabled=true]") !== null;

  function valueOf(el, role) {
    if (role === "combobox" && el.tagName === "SELECT") return el.selectedOptions.length ? flat(el.selectedOptions[0].text) : "";
    if (role === "listbox" && el.tagName === "SELECT") return Array.from(el.selectedOptions).map((each) => flat(each.text)).join(", ");
    if (el.tagName === "INPUT" || el.tagName === "TEXTAREA") {
      if (["checkbox", "radio", "button", "file"].includes(role)) return "";
      return el.type === "password" ? "•".repeat(Math.min(el.value.length, 30)) : flat(el.value);
    }
    return flat(el.getAttribute("aria-valuetext") || el.getAttribute("aria-valuenow") || "");
  }

  function statesOf(el, role) {
    const said = [];
    const aria = (name) => el.getAttribute("aria-" + name);
    if (["checkbox", "radio", "switch", "menuitemcheckbox", "menuitemradio"].includes(role)) {
      const mark = el.tagName === "INPUT" ? (el.indeterminate ? "mixed" : String(el.checked)) : aria("checked");
      if (mark === "true") said.push("checked"); else if (mark === "mixed") said.push("mixed");
    }
    if (aria("selected") === "true") said.push("selected");
    if (aria("pressed") === "true") said.push("pressed");
    if (role === "disclosure") said.push(el.parentElement.open ? "expanded" : "collapsed");
    else if (aria("expanded") === "true") said.push("expanded"); else if (aria("expanded") === "false") said.push("collapsed");
    if (aria("current") && aria("current") !== "false") said.push("current");
    if (disabled(el)) said.push("disabled");
    if (el.readOnly && role !== "checkbox" && role !== "radio") said.push("readonly");
    if (el.required || aria("required") === "true") said.push("required");
    if (aria("invalid") && aria("invalid") !== "false") said.push("invalid");
    return said;
  }

  function refOf(el) {
    let number = numbers.get(el);
    if (number === undefined) { number = next++; numbers.set(el, number); refs.set(number, el); }
    return number;
  }

  function described(el, role) {
    const name = nameOf(el, role), value = valueOf(el, role), states = statesOf(el, role);
    let said = `${OPEN}${refOf(el)}] ${role}`;
    if (name) said += ` ${quoted(name)}`;
    if (value) said += ` = ${quoted(value)}`;
    if (el.tagName === "SELECT") {
      const options = Array.from(el.options).slice(0, 40).filter((each) => !each.hidden).map((each) => quoted(flat(each.text)) + (each.disabled ? " (disabled)" : ""));
      said += ` options ${options.join(", ")}${el.options.length > 40 ? ", …" : ""}`;
    }
    if (role === "slider" || role === "spinbutton") {
      const low = el.min || el.getAttribute("aria-valuemin") || (role === "slider" ? "0" : "");
      const high = el.max || el.getAttribute("aria-valuemax") || (role === "slider" ? "100" : "");
      if (low || high) said += ` from ${low || "any"} to ${high || "any"}`;
    }
    return said + (states.length ? ` (${states.join(", ")})` : "");
  }

  class Lines {
    constructor() { this.all = []; this.line = ""; this.mark = ""; this.nodes = 0; this.full = false; }
    add(text) { this.line += text; }
    space() { if (this.line && !this.line.endsWith(" ")) this.line += " "; }
    end(depth) {
      const text = flat(this.line).replace(/\[(\d+)\]/g, "($1)").replace(/\ue000/g, "[");
      this.line = "";
      if (text && this.all.length < MOST_LINES) this.all.push("  ".repeat(Math.min(depth, 6)) + this.mark + text);
      else if (text) this.full = true;
      if (text) this.mark = "";
    }
  }

  function walk(el, out, depth, level) {
    for (const node of el.childNodes) {
      if (++out.nodes > MOST_NODES || out.all.length >= MOST_LINES) { out.full = true; return; }
      if (node.nodeType === 3) { out.add(harmless(node.data.length > 4000 ? node.data.slice(0, 4000) + "…" : node.data)); continue; }
      if (node.nodeType !== 1 || SKIPPED.has(node.tagName.toUpperCase())) continue;
      if (node.getAttribute("aria-hidden") === "true" || node.inert || !node.checkVisibility({visibilityProperty: true})) {
        // What is invisible may hold what is visible again; what is not displayed holds nothing.
        if (node.getAttribute("aria-hidden") !== "true" && !node.inert && getComputedStyle(node).visibility === "hidden" &&
            node.checkVisibility() && level < MOST_DEPTH && node.firstElementChild) walk(node, out, depth, level + 1);
        continue;
      }
      visit(node, out, depth, level);
    }
  }

  function visit(node, out, depth, level) {
    if (level > MOST_DEPTH) { out.full = true; return; }
    const role = roleOf(node), tag = node.tagName;
    if (tag === "BR" || tag === "HR") { out.end(depth); return; }
    if (ACTED.has(role) && !(role === "option" && tag === "OPTION")) {
      const alone = role === "disclosure";
      if (alone) out.end(depth); else out.space();
      out.add(described(node, role));
      if (alone) out.end(depth); else out.space();
      return;
    }
    if (role === "img") { out.space(); out.add(`image ${quoted(nameOf(node, role))}`); out.space(); return; }
    if (role === "progressbar") { out.space(); out.add(`progressbar ${quoted(valueOf(node, role) || String(node.value ?? ""))}`); out.space(); return; }
    if (tag === "LABEL" && node.control && ACTED.has(roleOf(node.control)) && !hidden(node.control)) {
      // Its text is the name of the control, which says it.
      if (node.contains(node.control)) { out.space(); out.add(described(node.control, roleOf(node.control))); out.space(); }
      return;
    }
    if (tag === "LEGEND" || tag === "CAPTION") return;
    if (role === "heading") { out.end(depth); out.add(`heading ${quoted(nameOf(node, role))}`); inside(node, out); out.end(depth); return; }
    if (role === "row") {
      out.end(depth);
      let first = true;
      for (const cell of node.children) {
        if (!cell.checkVisibility({visibilityProperty: true})) continue;
        if (!first) { out.space(); out.add("| "); }
        first = false;
        inline(cell, out, level);
      }
      out.end(depth);
      return;
    }
    if (role === "listitem") { out.end(depth); out.mark = "- "; walk(node, out, depth, level + 1); out.end(depth); out.mark = ""; return; }
    if (HOLDERS.has(role) && role !== "list" && !(tag === "DETAILS")) {
      const name = nameOf(node, role);
      out.end(depth);
      out.add(name ? `${role} ${quoted(name)}:` : `${role}:`);
      out.end(depth);
      walk(node, out, depth + 1, level + 1);
      out.end(depth + 1);
      return;
    }
    const block = BLOCKS.has(tag) || /^(block|flex|grid|table|list-item)/.test(getComputedStyle(node).display);
    if (block) out.end(depth);
    walk(node, out, depth, level + 1);
    if (block) out.end(depth);
  }

  // Controls within a heading are said behind it.
  function inside(node, out) {
    for (const el of node.querySelectorAll("a[href], button, input, select")) {
      if (!hidden(el) && ACTED.has(roleOf(el))) { out.space(); out.add(described(el, roleOf(el))); }
    }
  }

  // A cell: whatever it holds goes into one line.
  function inline(el, out, level) {
    for (const node of el.childNodes) {
      if (++out.nodes > MOST_NODES) { out.full = true; return; }
      if (node.nodeType === 3) { out.add(harmless(node.data.slice(0, 4000))); continue; }
      if (node.nodeType !== 1 || SKIPPED.has(node.tagName.toUpperCase()) || node.getAttribute("aria-hidden") === "true" ||
          !node.checkVisibility({visibilityProperty: true})) continue;
      const role = roleOf(node);
      if ((ACTED.has(role) && !(role === "option" && node.tagName === "OPTION")) || role === "img" || node.tagName === "LABEL") visit(node, out, 0, level + 1);
      else if (level < MOST_DEPTH) { out.space(); inline(node, out, level + 1); out.space(); }
    }
  }

  function look(start) {
    if (start > next) next = start;
    const out = new Lines();
    const root = top() || document.body || document.documentElement;
    if (root) { if (root.tagName === "DIALOG") visit(root, out, 0, 0); else walk(root, out, 0, 0); }
    out.end(0);
    return {title: flat(document.title).slice(0, 120), url: location.href.slice(0, 2000), lines: out.all, full: out.full, next};
  }

  function found(number) {
    const el = refs.get(number);
    if (!el || !el.isConnected) return {error: "gone"};
    if (hidden(el)) return {error: "hidden"};
    return {el};
  }

  // Where to click: the middle of the part that can be seen, if nothing else lies over it.
  function point(number) {
    const {el, error} = found(number);
    if (error) return {error};
    if (disabled(el)) return {error: "disabled"};
    el.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
    const rects = Array.from(el.getClientRects()).filter((each) => each.width >= 1 && each.height >= 1);
    if (!rects.length) return {error: "no area"};
    let over = null;
    for (const rect of rects) {
      const x = rect.x + rect.width / 2, y = rect.y + rect.height / 2;
      const hit = document.elementFromPoint(x, y);
      if (hit && (el.contains(hit) || (el.labels && Array.from(el.labels).some((each) => each.contains(hit))))) return {x, y, role: roleOf(el)};
      over = hit || over;
    }
    return {error: "covered", by: over ? short(flat(over.textContent || "").slice(0, 60)) || over.tagName.toLowerCase() : ""};
  }

  const EDITED = new Set(["textbox", "searchbox", "spinbutton", "combobox"]);
  const SET = new Set(["slider", "date", "time", "month", "week", "datetime", "color"]);

  // Make ready for typing: focus and mark what is there; or set a value at once where a field has no text.
  function ready(number, text) {
    const {el, error} = found(number);
    if (error) return {error};
    const role = roleOf(el), editable = (el.tagName === "INPUT" || el.tagName === "TEXTAREA") && (EDITED.has(role) || SET.has(role));
    if (!editable) return {error: "no field", role};
    if (disabled(el) || el.readOnly) return {error: "disabled"};
    el.scrollIntoView({block: "center", behavior: "instant"});
    el.focus({preventScroll: true});
    if (SET.has(role)) {
      const before = el.value;
      el.value = text;
      const taken = role === "slider" ? Number(el.value) === Number(text) && flat(text) !== "" : el.value === text;
      if (!taken) { el.value = before; return {error: "not taken", role}; }
      el.dispatchEvent(new Event("input", {bubbles: true}));
      el.dispatchEvent(new Event("change", {bubbles: true}));
      return {done: true};
    }
    if (role === "spinbutton" && text !== "" && !Number.isFinite(Number(text))) return {error: "not taken", role};
    el.select();
    return {done: false, empty: el.value === ""};
  }

  function choose(number, option) {
    const {el, error} = found(number);
    if (error) return {error};
    if (el.tagName !== "SELECT") return {error: "no list", role: roleOf(el)};
    if (disabled(el)) return {error: "disabled"};
    const wanted = flat(option), all = Array.from(el.options);
    const same = (fold) => all.find((each) => !each.disabled && fold(flat(each.text)) === fold(wanted));
    const hit = same((text) => text) || same((text) => text.toLowerCase());
    if (!hit) return {error: "no option", options: all.slice(0, 40).map((each) => short(flat(each.text)))};
    if (el.multiple) hit.selected = !hit.selected; else el.value = hit.value, hit.selected = true;
    el.dispatchEvent(new Event("input", {bubbles: true}));
    el.dispatchEvent(new Event("change", {bubbles: true}));
    return {done: true};
  }

  // Let tasks that are due run: a submitted form, a timer of no time.
  async function settle() {
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    return true;
  }

  function scrolled(share) {
    const most = document.documentElement.scrollHeight - innerHeight;
    scrollTo({top: Math.max(0, most) * share, behavior: "instant"});
    return true;
  }

  return {look, point, ready, choose, settle, scrolled};
})();
true;
