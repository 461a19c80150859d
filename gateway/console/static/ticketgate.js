// What the console does beyond its pages: the clocks go on, lists follow what happens, and the keyboard leads.
// Without it every page works; nothing here asks another host.
"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  const zh = document.documentElement.lang.startsWith("zh");
  const units = zh ? ["天", "小时", "分", "秒"].map((u) => (n) => `${n} ${u}`) : ["d", "h", "min", "s"].map((u) => (n) => `${n} ${u}`);
  const main = () => document.getElementById("main");
  const typing = (at) => at && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName));

  // ---- time --------------------------------------------------------------------------------------------------------

  // The same words as rows.py: two units at most while a clock runs, one for what is past.
  function span(seconds, both) {
    const whole = Math.max(0, Math.floor(seconds));
    const parts = [[0, Math.floor(whole / 86400)], [1, Math.floor(whole / 3600) % 24], [2, Math.floor(whole / 60) % 60]];
    const said = parts.filter(([, n]) => n > 0).slice(0, both ? 2 : 1).map(([u, n]) => units[u](n));
    return said.length ? said.join(" ") : units[2](both ? 0 : 1);
  }

  function tell(at) {
    const seconds = (new Date(at.dateTime) - Date.now()) / 1000;
    if (at.classList.contains("due")) {
      const words = span(Math.abs(seconds), true);
      at.textContent = seconds >= 0 ? (zh ? `还剩 ${words}` : `${words} left`) : zh ? `超时 ${words}` : `${words} over`;
      const clock = at.closest(".clock");
      if (clock) clock.dataset.state = seconds < 0 ? "over" : seconds < Number(at.dataset.near) ? "near" : "running";
    } else if (Math.abs(seconds) < 60) at.textContent = zh ? "刚刚" : "just now";
    else if (seconds < 0) at.textContent = zh ? `${span(-seconds)}前` : `${span(-seconds)} ago`;
    else at.textContent = zh ? `${span(seconds)}后` : `in ${span(seconds)}`;
  }

  const clocks = () => document.querySelectorAll("time.live").forEach(tell);

  // ---- lists that follow what happens ------------------------------------------------------------------------------

  let fresh = null, asking = false, again = false;

  async function look() {
    const list = document.getElementById("live") || document.getElementById("ticket");
    if (!list || list.dataset.live === "off") return;
    if (asking) { again = true; return; }
    asking = true;
    try {
      const at = list.dataset.at || location.href; // after a merge the other ticket is shown at the address of the first
      const answer = await fetch(at, { headers: { "HX-Request": "true" }, credentials: "same-origin" });
      if (answer.ok && !answer.redirected) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (list.id === "ticket") compareOne(list, page); else compare(list, page);
      }
    } catch { /* the next event or the next minute asks again */ }
    asking = false;
    if (again) { again = false; setTimeout(look, 500); }
  }

  // Rows that are there change in place; rows that are new are counted, and come when they are asked for.
  function compare(list, page) {
    const other = page.getElementById("live");
    if (!other) return;
    const added = [];
    other.querySelectorAll("[data-row]").forEach((row) => {
      const shown = list.querySelector(`[data-row="${CSS.escape(row.dataset.row)}"]`);
      if (!shown) added.push(row);
      else if (shown.dataset.version !== row.dataset.version) replace(shown, row);
    });
    document.querySelectorAll("[data-count]").forEach((count) => {
      const now = page.querySelector(`[data-count="${CSS.escape(count.dataset.count)}"]`);
      if (now) count.textContent = now.textContent;
    });
    fresh = added.length || !list.querySelector("[data-row]") !== !other.querySelector("[data-row]") ? other : null;
    const news = document.getElementById("news");
    if (!news) return;
    if (added.length && !list.querySelector("[data-row]")) return show();
    news.hidden = !added.length;
    const words = added.length ? news.dataset.words.replace("{}", added.length) : "";
    if (news.firstElementChild.textContent !== words) news.firstElementChild.textContent = words;
    clocks();
  }

  // A ticket that changed comes by itself while nobody is at work on the page; otherwise it says so.
  function compareOne(shown, page) {
    const other = page.getElementById("ticket");
    if (!other || other.dataset.version === shown.dataset.version) return;
    fresh = other;
    const open = shown.querySelector("details.menu[open], #fault");
    const typed = [...shown.querySelectorAll("textarea, input:not([type=hidden]):not([type=radio])")].some((at) => at.value !== at.defaultValue);
    const chosen = [...shown.querySelectorAll("aside option")].some((at) => at.selected !== at.defaultSelected && at.closest("select").options.length > 1 && at.defaultSelected);
    if (!typed && !chosen && !open && !typing(document.activeElement)) return show();
    const news = document.getElementById("news");
    news.hidden = false;
    news.firstElementChild.textContent = news.dataset.words;
  }

  function replace(shown, row) {
    const box = shown.querySelector("input[type=checkbox]");
    const inside = shown.contains(document.activeElement);
    const current = shown.classList.contains("current");
    const made = document.importNode(row, true);
    if (box && box.checked) made.querySelector("input[type=checkbox]").checked = true;
    made.classList.add("changed");
    if (current) made.classList.add("current");
    shown.replaceWith(made);
    if (inside) made.querySelector("a").focus();
  }

  function show() {
    const list = document.getElementById("live") || document.getElementById("ticket");
    if (!fresh || !list) return;
    if (list.id === "ticket") return showOne(list);
    const chosen = new Set([...list.querySelectorAll("input.pick:checked")].map((box) => box.value));
    const made = document.importNode(fresh, true);
    made.querySelectorAll("input.pick").forEach((box) => { box.checked = chosen.has(box.value); });
    list.replaceWith(made);
    if (window.htmx) window.htmx.process(made);
    fresh = null;
    const news = document.getElementById("news");
    if (news) news.hidden = true;
    clocks();
    picked();
  }

  function showOne(shown) {
    const said = shown.querySelector("#comment-text");
    const made = document.importNode(fresh, true);
    if (said) made.querySelector("#comment-text").value = said.value;
    shown.replaceWith(made);
    if (window.htmx) window.htmx.process(made);
    fresh = null;
    settled();
  }

  function follow() {
    let heard = 0;
    const source = new EventSource(document.body.dataset.follow);
    const ring = () => { clearTimeout(heard); heard = setTimeout(look, 250); };
    source.onmessage = ring;
    for (const name of ["missed", "ticket.created", "message.added", "ticket.updated", "outgoing.sent", "outgoing.dead", "quarantined"]) source.addEventListener(name, ring);
    setInterval(look, 60000);
  }

  // ---- the keyboard ------------------------------------------------------------------------------------------------

  let after = "";
  const rows = () => [...document.querySelectorAll("#live [data-row]")];

  function step(by) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("current"));
    const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))];
    all.forEach((row) => row.classList.toggle("current", row === next));
    const link = next.querySelector("a");
    if (link) link.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  function press(key) {
    if (after === "g") {
      after = "";
      const place = document.querySelector(`nav a[data-key="${CSS.escape(key)}"]`);
      if (place) location.href = place.href;
      return Boolean(place);
    }
    const search = document.getElementById("q"), comment = document.getElementById("comment-text");
    const box = document.querySelector("#live .current input[type=checkbox]");
    if (key === "g") { after = "g"; setTimeout(() => { after = ""; }, 1200); }
    else if (key === "/" && search) { search.focus(); search.select(); }
    else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
    else if (key === "c" && comment) comment.focus();
    else if (key === "x" && box) box.click();
    else if (key === "?") help();
    else return false;
    return true;
  }

  function help() {
    const dialog = document.getElementById("help");
    if (dialog && !dialog.open) dialog.showModal();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && typing(event.target)) return event.target.blur();
    if (event.key === "Escape") return document.querySelectorAll("details.menu[open]").forEach((one) => one.removeAttribute("open"));
    if (!typing(event.target) && !document.querySelector("dialog[open]") && press(event.key)) event.preventDefault();
  });

  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("#live [data-row]");
    if (row) rows().forEach((one) => one.classList.toggle("current", one === row));
  });

  // ---- small things ------------------------------------------------------------------------------------------------

  function picked() {
    const bar = document.getElementById("bulk");
    if (!bar) return;
    const count = document.querySelectorAll("#live input.pick:checked").length;
    bar.classList.toggle("idle", !count);
    const told = bar.querySelector("[data-words]");
    if (told) told.textContent = told.dataset.words.replace("{}", count);
  }

  document.addEventListener("change", (event) => {
    if (event.target.id === "all") document.querySelectorAll("#live input.pick").forEach((box) => { box.checked = event.target.checked; });
    if (event.target.matches("#all, input.pick")) picked();
    if (event.target.matches("select.goes")) event.target.form.requestSubmit();
    if (event.target.id === "category") narrow(event.target);
  });

  // Only the subcategories of the category that is chosen.
  function narrow(category) {
    const inner = document.getElementById("subcategory");
    if (!inner) return;
    inner.querySelectorAll("optgroup").forEach((group) => {
      const ours = group.dataset.of === category.value;
      group.hidden = group.disabled = !ours;
      if (!ours) group.querySelectorAll("option:checked").forEach(() => { inner.value = ""; });
    });
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("#news button")) return show();
    if (event.target.closest("#ask-help")) return help();
    document.querySelectorAll("details.menu[open]").forEach((one) => { if (!one.contains(event.target)) one.removeAttribute("open"); });
  });

  function settled() {
    clocks();
    picked();
    const category = document.getElementById("category");
    if (category && document.getElementById("subcategory")) narrow(category);
    const told = document.getElementById("flash") || document.getElementById("fault");
    if (told) { told.tabIndex = -1; told.focus({ preventScroll: false }); }
  }

  document.addEventListener("htmx:afterSettle", settled);
  document.addEventListener("htmx:historyRestore", settled);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("ask-help");
    if (button) button.hidden = false;
    settled();
    setInterval(clocks, 15000);
    if (document.body.dataset.follow && main()) follow();
  });
})();
