/* Ticketgate web chat: one script, no framework, everything anybody said is a text node. docs/channels/webchat.md */
(() => {
  "use strict";
  const S = "SETTINGS", script = document.currentScript, D = script.dataset, root = new URL(".", script.src).href;
  const box = `ticketgate:${root}`, page = "page" in D;
  if (window[box]) return;
  window[box] = true;
  const lang = (D.lang || navigator.language || "zh").toLowerCase().startsWith("zh") ? "zh" : "en";
  const W = lang === "zh" ? {
    open: "打开客服对话", close: "关闭对话", write: "输入消息", send: "发送", attach: "添加图片或文件", remove: "移除",
    name: "姓名", email: "邮箱", phone: "电话", optional: "（选填）", sending: "发送中…", sent: "已送达", team: "客服", auto: "自动回复",
    you: "我", offline: "网络已断开，消息会在恢复后自动发送。", again: "正在重新连接…", signed: "暂时无法登录对话，请稍后再试。",
    many: n => `一次最多 ${n} 个文件`, large: (f, n) => `${f} 超过 ${n}`, kind: f => `不支持 ${f} 的类型`,
    lost: "附件未能发送，请重新添加后再发。", failed: "未能发送", edit: "改写",
    limit: (n, m) => `最多 ${n} 个文件，每个不超过 ${m}`, ticket: n => `工单 ${n}`, wait: "消息较多，稍后自动重发…",
    status: { new: "已登记，等待处理", open: "处理中", waiting_customer: "等待您补充信息", waiting_third: "正在等待第三方",
      solved: "已解决，请您确认", closed: "已关闭", merged: "已合并处理" },
  } : {
    open: "Open chat", close: "Close chat", write: "Write a message", send: "Send", attach: "Add pictures or files", remove: "Remove",
    name: "Name", email: "Email", phone: "Phone", optional: " (optional)", sending: "Sending…", sent: "Sent", team: "Support", auto: "Automatic",
    you: "You", offline: "You are offline. Messages go out once you are back.", again: "Reconnecting…",
    signed: "The chat could not sign you in. Please try again later.",
    many: n => `No more than ${n} files at a time`, large: (f, n) => `${f} is larger than ${n}`, kind: f => `${f}: this type is not taken`,
    lost: "The files were not sent. Please add them again.", failed: "Not sent", edit: "Edit",
    limit: (n, m) => `Up to ${n} files of ${m} each`, ticket: n => `Ticket ${n}`, wait: "Many messages; sent again in a moment…",
    status: { new: "registered, waiting", open: "in progress", waiting_customer: "waiting for your answer",
      waiting_third: "waiting for a third party", solved: "solved, please confirm", closed: "closed", merged: "merged with another" },
  };

  // What stays in this browser: the key, what is not sent yet, what was seen.
  let memory = "{}";
  const kept = () => {
    try { memory = localStorage.getItem(box) || memory; } catch { /* blocked: as long as the page is open */ }
    try { return { unsent: [], seen: "", ...JSON.parse(memory) }; } catch { return { unsent: [], seen: "" }; }
  };
  const keep = change => {
    const now = kept();
    change(now);
    memory = JSON.stringify(now);
    try { localStorage.setItem(box, memory); } catch { /* as above */ }
  };

  // ---- the line to the gateway ----
  const entries = new Map(), files = new Map(), flying = new Map();
  let line = null, ready = false, http = false, polling = false, cursor = 0, failed = 0, retry = 0, watch = 0, token = "", asked = null, trouble = "";
  const sleep = seconds => new Promise(done => setTimeout(done, seconds * 1000));
  const pause = () => Math.min(30, 2 ** (failed - 1)) * (0.75 + Math.random() / 2);

  const credential = () => (asked ||= (async () => {
    try {
      if (D.tokenUrl) token ||= (await (await ok(fetch(D.tokenUrl, { credentials: "same-origin", cache: "no-store" }))).text()).trim();
      if (D.tokenUrl || D.token) return token || D.token;
      if (!kept().key) {
        const { key } = await (await ok(fetch(`${root}visitors`, { method: "POST" }))).json();
        keep(k => { k.key ||= key; });  // another tab may have been quicker
      }
      return kept().key;
    } finally { asked = null; }
  })());
  const ok = async answer => { const a = await answer; if (!a.ok) throw a; return a; };
  const ask = async (path, more = {}) => ok(fetch(root + path, {
    cache: "no-store", ...more, headers: { ...more.headers, authorization: `Bearer ${await credential()}` },
  }));
  const forget = () => { token = ""; if (!D.tokenUrl && !D.token) { keep(k => { delete k.key; }); entries.clear(); cursor = 0; } };
  const unknown = code => { if (D.tokenUrl || D.token || code === "unverified") forget(); if (D.token) trouble = W.signed; };

  async function connect() {
    clearTimeout(retry);
    if (line || polling) return;
    if (http) return poll();
    try {
      const key = await credential();
      if (line || polling) return;
      const socket = line = new WebSocket(`${root.replace(/^http/, "ws")}socket`);
      let welcome = false;
      const heard = seconds => { clearTimeout(watch); watch = setTimeout(() => socket.close(), seconds * 1000); };
      heard(8);
      socket.onopen = () => socket.send(JSON.stringify({ type: "hello", credential: key, after: cursor }));
      socket.onmessage = ({ data }) => {
        heard(45);
        const told = JSON.parse(data);
        if (told.type === "welcome") { welcome = ready = true; failed = 0; trouble = ""; }
        if (told.entries) take(told);
        if (told.type === "sent") sent(told.id);
        if (told.type === "refused") refused(told.id, told.code, told.detail);
        if (told.type === "welcome") flush();
      };
      socket.onclose = ({ code, reason }) => {
        clearTimeout(watch);
        line = null; ready = false; flying.clear();
        if (code === 4401) unknown(reason);
        if (!welcome && code < 4000 && ++failed >= 2 && navigator.onLine) { http = true; failed = 0; setTimeout(() => { http = false; }, 6e5); }
        later();
      };
    } catch (e) { line = null; failed++; if (D.tokenUrl) trouble = W.signed; if (e instanceof DOMException) http = true; later(); }
  }
  const later = () => { draw(); clearTimeout(retry); retry = setTimeout(connect, http && !failed ? 0 : pause() * 1000); };

  async function poll() {
    polling = true;
    while (http) {
      try {
        const told = await (await ask(`messages?after=${cursor}&wait=${ready ? 25 : 0}`)).json();
        ready = true; failed = 0; trouble = "";
        take(told); flush();
      } catch (e) {
        ready = false; failed++;
        if (e.status === 401) unknown((await e.json().catch(() => ({}))).title);
        draw();
        await sleep(pause());
      }
    }
    polling = ready = false;
    connect();
  }

  async function flush() {
    for (const m of kept().unsent) {
      if (m.sent || m.why || flying.has(m.id)) continue;
      if (m.files && !files.has(m.id)) { refused(m.id, "lost", W.lost); continue; }
      if (!ready) { connect(); return; }
      const { id, text, choice, page, name, email, phone } = m, said = { id, text, lang, page };
      for (const [k, v] of Object.entries({ choice, name, email, phone })) if (v) said[k] = v;
      flying.set(id, setTimeout(() => { flying.delete(id); if (line) line.close(); else flush(); }, m.files ? 18e4 : 12e3));
      if (!m.files && line) { line.send(JSON.stringify({ type: "message", ...said })); continue; }
      const form = new FormData();
      for (const [k, v] of Object.entries(said)) form.append(k, v);
      for (const f of files.get(id) || []) form.append("files", f, f.name);
      ask("messages", { method: "POST", body: form }).then(() => sent(id), async e => {
        const why = e.json ? await e.json().catch(() => ({})) : {};
        refused(id, e.status >= 400 && e.status < 500 && e.status !== 401 ? why.title || "invalid" : "unavailable", why.detail);
      });
    }
  }
  const landed = id => { clearTimeout(flying.get(id)); flying.delete(id); };
  const mine = (id, change) => { keep(k => { const m = k.unsent.find(one => one.id === id); if (m) change(m, k); }); draw(); };
  const sent = id => { landed(id); mine(id, m => { m.sent = true; delete m.slow; }); };
  function refused(id, code, why) {
    landed(id);
    if (/^(rate.limited|unavailable)$/.test(code)) {
      mine(id, m => { m.slow = code !== "unavailable"; });
      setTimeout(flush, code === "unavailable" ? 4e3 : 2e4);
    } else mine(id, m => { m.why = why || code; });
  }

  function take(told) {
    cursor = told.cursor;
    for (const one of told.entries) entries.set(one.id, one);
    const there = new Set(told.entries.map(one => one.client));
    if (kept().unsent.some(m => there.has(m.id))) keep(k => { k.unsent = k.unsent.filter(m => !there.has(m.id)); });
    draw();
  }

  function say(text, chosen = [], choice = "") {
    const id = `m-${[...crypto.getRandomValues(new Uint8Array(12))].map(b => b.toString(16).padStart(2, "0")).join("")}`;
    if (chosen.length) files.set(id, chosen);
    const { name, email, phone } = kept();
    const where = (location.origin + location.pathname).slice(0, 500);  // what stands after ? may be nobody's business
    keep(k => { k.unsent.push({ id, text, choice, name, email, phone, page: where, files: chosen.map(f => f.name).join(", "), at: new Date().toISOString() }); });
    stick = true;
    draw();
    flush();
  }

  // ---- what is seen ----
  const h = (tag, props = {}, ...inner) => {
    const at = document.createElement(tag);
    for (const [k, v] of Object.entries(props)) {
      if (k.startsWith("on")) at.addEventListener(k.slice(2), v);
      else if (v !== undefined && v !== false) at.setAttribute(k, v === true ? "" : v);
    }
    at.append(...inner.filter(one => one || one === 0));
    return at;
  };
  const icon = d => {
    const ns = "http://www.w3.org/2000/svg", at = document.createElementNS(ns, "svg"), path = document.createElementNS(ns, "path");
    at.setAttribute("viewBox", "0 0 24 24");
    at.setAttribute("aria-hidden", "true");
    path.setAttribute("d", d);
    at.append(path);
    return at;
  };
  const bytes = n => n >= 1048576 ? `${Math.round(n / 1048576)} MB` : `${Math.max(1, Math.round(n / 1024))} KB`;
  const clock = at => new Date(at).toLocaleString(lang === "zh" ? "zh-CN" : undefined, {
    hour: "2-digit", minute: "2-digit", ...(new Date(at).toDateString() === new Date().toDateString() ? {} : { month: "short", day: "numeric" }),
  });
  const linked = text => text.split(/(https?:\/\/[^\s<>"“”，。；）]+)/).map((part, n) => n % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part);

  const BUBBLE = "M21 12a8 8 0 0 1-8 8H4l2-3.4A8 8 0 1 1 21 12zM9 11h.01M13 11h.01M17 11h.01";
  const badge = h("span", { class: "badge", hidden: true });
  const launch = h("button", { class: "launch", type: "button", "aria-expanded": "false", "aria-controls": "panel", onclick: () => show(panel.hidden) },
    icon(BUBBLE), badge);
  const under = h("p", { class: "under" }), banner = h("p", { class: "banner", role: "status", hidden: true });
  const log = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": S.title[lang], tabindex: "0" });
  const chips = h("ul", { class: "chips", hidden: true }), problem = h("p", { class: "problem", role: "alert", hidden: true });
  const fields = h("div", { class: "fields", hidden: true }, ...S.ask.map(name => h("label", {}, W[name] + W.optional, h("input", {
    name, type: name === "name" ? "text" : name === "phone" ? "tel" : "email", autocomplete: name === "phone" ? "tel" : name, maxlength: "100",
    onchange: e => keep(k => { k[name] = e.target.value.trim(); }),
  }))));
  const text = h("textarea", { rows: "1", maxlength: S.text, placeholder: W.write, "aria-label": W.write, oninput: () => { grow(); keep(k => { k.draft = text.value; }); } });
  const pick = h("input", { type: "file", multiple: true, hidden: true, accept: S.types.includes("*/*") ? undefined : S.types.join(","), tabindex: "-1", "aria-hidden": "true", onchange: () => { add(pick.files); pick.value = ""; } });
  const limit = `${W.attach} (${W.limit(S.files, bytes(S.fileSize))})`;
  const clip = h("button", { class: "clip", type: "button", title: limit, "aria-label": limit, hidden: !S.files, onclick: () => pick.click() },
    icon("M21 11l-9 9a5.5 5.5 0 0 1-8-8l9-9a3.7 3.7 0 0 1 5.3 5.3l-8.7 8.7a1.8 1.8 0 0 1-2.6-2.6L15 6"));
  const form = h("form", { onsubmit: e => { e.preventDefault(); post(); } }, fields, chips, problem,
    h("div", { class: "row" }, clip, pick, text, h("button", { class: "send", type: "submit", "aria-label": W.send }, icon("M4 12l16-8-6 16-3-7z"))));
  const panel = h("section", { class: "panel", id: "panel", role: page ? "region" : "dialog", "aria-labelledby": "title", hidden: true },
    h("header", {}, h("div", {}, h("h2", { id: "title" }, S.title[lang]), under),
      page ? "" : h("button", { class: "close", type: "button", "aria-label": W.close, onclick: () => show(false) }, icon("M6 6l12 12M18 6L6 18"))),
    banner, log, form);
  let picked = [], stick = true, loaded = false, drawn = "";

  const grow = () => { text.style.height = "auto"; text.style.height = `${Math.min(text.scrollHeight, 140)}px`; };
  const complain = why => { problem.textContent = why || ""; problem.hidden = !why; };
  function add(list) {
    complain();
    for (const f of list) {
      const type = f.type || "application/octet-stream";
      if (picked.length >= S.files) complain(W.many(S.files));
      else if (f.size > S.fileSize || [...picked, f].reduce((n, one) => n + one.size, 0) > S.size - 1e5) complain(W.large(f.name, bytes(Math.min(S.fileSize, S.size))));
      else if (!S.types.some(t => t === type || t === "*/*" || (t.endsWith("/*") && type.startsWith(t.slice(0, -1))))) complain(W.kind(f.name));
      else picked.push(f);
    }
    list_picked();
  }
  function list_picked() {
    chips.hidden = !picked.length;
    chips.replaceChildren(...picked.map(f => h("li", {}, h("span", {}, f.name), ` ${bytes(f.size)} `, h("button", {
      type: "button", "aria-label": `${W.remove} ${f.name}`, onclick: () => { picked = picked.filter(one => one !== f); list_picked(); text.focus(); },
    }, icon("M6 6l12 12M18 6L6 18")))));
  }
  function post() {
    const words = text.value.trim();
    if (!words && !picked.length) return text.focus();
    say(words, picked);
    picked = []; text.value = "";
    keep(k => { delete k.draft; });
    list_picked(); complain(); grow(); text.focus();
  }

  function picture(file, id, n) {
    const own = (files.get(id.client) || [])[n];
    const content = async () => own || (await ask(`files/${id.id}/${n}`)).blob();
    if (!/^image\/(png|jpeg|gif|webp)$/.test(file.type)) {
      return h("button", { class: "file", type: "button", onclick: async () => {
        h("a", { href: URL.createObjectURL(await content()), download: file.name }).click();
      } }, icon("M12 4v11M7 11l5 5 5-5M5 20h14"), h("span", {}, file.name), ` ${bytes(file.size)}`);
    }
    const shown = h("img", { alt: file.name });
    content().then(blob => { shown.src = URL.createObjectURL(blob); shown.onload = down; }, () => shown.replaceWith(file.name));
    return shown;
  }

  function draw_one(e, last) {
    if (e.kind === "status") return h("p", { class: "status" }, h("span", {}, `${W.ticket(e.number)} · ${W.status[e.status] || e.status}`));
    const own = e.kind === "said", who = own ? W.you : e.kind === "notice" ? W.auto : (e.by && (e.by[lang] || e.by.zh || e.by.en)) || W.team;
    const state = !own ? "" : e.why ? W.failed : e.wait ? W.wait : e.pending ? W.sending : W.sent;
    const shown = (e.files || []).map((file, n) => picture(file, e, n));
    return h("div", { class: `said ${own ? "own" : "ours"}${e.why ? " bad" : ""}` },
      h("p", { class: own ? "sr" : "who" }, who),
      h("div", { class: "bubble", dir: "auto" }, ...shown, e.text ? h("p", {}, ...linked(e.text)) : ""),
      e.why ? h("p", { class: "why" }, e.why, " ", h("button", { type: "button", onclick: () => { text.value ||= e.text; keep(k => { k.unsent = k.unsent.filter(m => m.id !== e.client); }); draw(); grow(); text.focus(); } }, W.edit)) : "",
      last && e.choices ? h("div", { class: "choices", role: "group", "aria-label": who }, ...e.choices.map(c => h("button", { type: "button", onclick: () => { say(c.label, [], c.code); text.focus(); } }, c.label))) : "",
      h("p", { class: "when" }, h("time", { datetime: e.at }, clock(e.at)), state ? ` · ${state}` : ""));
  }

  const down = () => { if (stick) log.scrollTop = log.scrollHeight; };
  const nodes = new Map();
  function draw() {
    const there = [...entries.values()].sort((a, b) => a.at < b.at ? -1 : a.at > b.at ? 1 : a.id < b.id ? -1 : 1);
    const known = new Set(there.map(e => e.client));
    const waiting = kept().unsent.filter(m => !known.has(m.id)).map(m => ({
      id: m.id, client: m.id, kind: "said", at: m.at, text: m.text || (m.files && !files.has(m.id) ? m.files : ""), pending: !m.sent, wait: m.slow && !m.sent, why: m.why,
      files: (files.get(m.id) || []).map(f => ({ name: f.name, type: f.type, size: f.size })),
    }));
    const all = [{ id: "intro", kind: "answer", text: S.intro[lang], at: "" }, ...there, ...waiting].filter(e => e.text || e.status || (e.files || []).length);
    const speaking = all.filter(e => e.kind !== "status").pop();
    const wanted = all.map(e => {
      const id = e.client || e.id, last = e === speaking, sign = JSON.stringify([e.text, e.pending, e.wait, e.why, e.at && e.id, last && e.choices]);
      let at = nodes.get(id);
      if (!at || at.sign !== sign) {
        at = e.id === "intro" ? h("div", { class: "said ours" }, h("div", { class: "bubble", dir: "auto" }, h("p", {}, e.text))) : draw_one(e, last);
        at.sign = sign;
        nodes.set(id, at);
      }
      return at;
    });
    wanted.forEach((at, n) => { if (log.children[n] !== at) log.insertBefore(at, log.children[n] || null); });
    while (log.children.length > wanted.length) log.lastChild.remove();
    const status = there.filter(e => e.kind === "status").pop();
    under.textContent = status ? `${W.ticket(status.number)} · ${W.status[status.status] || status.status}` : "";
    banner.textContent = !navigator.onLine ? W.offline : trouble || (failed > 1 ? W.again : "");
    banner.hidden = !banner.textContent;
    fields.hidden = !S.ask.length || there.length > 0 || waiting.length > 0;
    const ours = there.filter(e => e.kind === "answer" || e.kind === "notice"), newest = ours.length ? ours[ours.length - 1].at : "";
    if (!panel.hidden && newest > kept().seen) keep(k => { k.seen = newest; });
    const unread = ours.filter(e => e.at > kept().seen).length;
    badge.textContent = unread || "";
    badge.hidden = !unread;
    launch.setAttribute("aria-label", (panel.hidden ? W.open : W.close) + (unread ? ` (${unread})` : ""));
    if (ready && !loaded) { loaded = true; setTimeout(() => log.setAttribute("aria-live", "polite"), 500); }
    const now = wanted.map(at => at.sign).join();
    if (now !== drawn) { drawn = now; down(); }
  }

  function show(open) {
    panel.hidden = !open;
    launch.setAttribute("aria-expanded", open);
    launch.querySelector("path").setAttribute("d", open ? "M6 9l6 6 6-6" : BUBBLE);
    host.toggleAttribute("data-open", open);
    draw();
    if (open) {
      stick = true; down(); grow();
      if (kept().key || D.tokenUrl || D.token) connect();
      if (!page) text.focus();
    } else launch.focus();
  }

  const light = "--paper:#fff;--wash:#f4f6f8;--ink:#1b1f24;--soft:#57606a;--line:#d5dbe1;--edge:#7d8791;--bad:#b3202a;--warn:#fff4d6";
  const dark = "--paper:#171b20;--wash:#232a31;--ink:#e8ecf0;--soft:#a9b3bd;--line:#38414a;--edge:#818c97;--bad:#ff9a94;--warn:#3a3015";
  const css = `:host{all:initial;font:15px/1.5 system-ui,-apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;${light};--mark:${S.color};--on:${S.on};position:fixed;z-index:2147483000;inset-block-end:20px;inset-inline-${D.side === "start" ? "start" : "end"}:20px;color-scheme:light}
@media (prefers-color-scheme:dark){:host(:not([data-theme=light])){${dark};color-scheme:dark}}:host([data-theme=dark]){${dark};color-scheme:dark}
*{box-sizing:border-box;margin:0}button,input,textarea{font:inherit}
[hidden]{display:none!important}button{cursor:pointer;color:inherit;background:none;border:0;padding:0}svg{width:22px;height:22px;display:block;flex:none;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
:focus-visible{outline:3px solid var(--ink);outline-offset:2px}.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.launch{position:relative;width:56px;height:56px;border-radius:50%;display:grid;place-items:center;margin-inline-start:auto;color:var(--on);background:var(--mark);box-shadow:0 4px 16px #0004;transition:transform .15s}.launch:hover{transform:scale(1.06)}.launch svg{width:28px;height:28px}
.badge{position:absolute;inset-block-start:-4px;inset-inline-end:-4px;min-width:22px;padding:0 6px;border-radius:11px;color:#fff;background:#b3202a;font-size:13px;line-height:22px;font-weight:700}
.panel{position:relative;display:flex;flex-direction:column;width:min(384px,calc(100vw - 40px));height:min(620px,calc(100dvh - 116px));margin-block-end:16px;overflow:hidden;color:var(--ink);background:var(--paper);border:1px solid var(--line);border-radius:16px;box-shadow:0 12px 40px #0004;animation:in .18s}
@keyframes in{from{opacity:0;transform:translateY(12px)}}@media (prefers-reduced-motion){*{animation:none!important;transition:none!important}}
header{display:flex;align-items:center;justify-content:space-between;gap:8px;padding:14px 16px;color:var(--on);background:var(--mark)}h2{font-size:17px;font-weight:650}.under{font-size:13px}.under:empty{display:none}header :focus-visible{outline-color:var(--on)}
.close{padding:9px;border-radius:8px}.banner{padding:8px 16px;font-size:13px;background:var(--warn)}
.log{flex:1;overflow-y:auto;overscroll-behavior:contain;padding:16px;display:flex;flex-direction:column;gap:12px}.log:focus-visible{outline-offset:-3px}
.said{display:flex;flex-direction:column;align-items:flex-start;max-width:86%}.own{align-self:flex-end;align-items:flex-end}
.bubble{padding:9px 13px;border-radius:14px 14px 14px 4px;background:var(--wash);overflow-wrap:anywhere;white-space:pre-wrap;max-width:100%}.own .bubble{color:var(--on);background:var(--mark);border-radius:14px 14px 4px}.bad .bubble{color:var(--ink);background:none;border:1px solid var(--bad)}
.bubble>*+*{margin-block-start:6px}.bubble a{color:inherit;text-decoration:underline}.bubble img{display:block;max-width:100%;max-height:220px;border-radius:8px;min-height:24px}.file{display:flex;align-items:center;gap:8px;text-align:start;min-height:32px}.file span{text-decoration:underline}
.who,.when{font-size:12px;color:var(--soft);padding:0 4px}.why{font-size:13px;color:var(--bad);padding:2px 4px}.why button{text-decoration:underline;min-height:24px;padding:0 4px}
.status{align-self:center;text-align:center}.status span{display:block;padding:3px 12px;border-radius:12px;font-size:13px;color:var(--soft);border:1px solid var(--line)}
.choices{display:flex;flex-wrap:wrap;gap:8px;margin:8px 0 4px}.choices button{min-height:38px;padding:6px 16px;border-radius:19px;border:1.5px solid var(--edge);font-weight:600}.choices button:hover{background:var(--wash)}
form{padding:10px 12px 12px;border-block-start:1px solid var(--line)}.row{display:flex;align-items:flex-end;gap:6px}
textarea{flex:1;min-width:0;resize:none;max-height:140px;padding:9px 12px;font-size:16px;line-height:1.4;color:inherit;background:var(--paper);border:1px solid var(--edge);border-radius:20px}textarea::placeholder{color:var(--soft);opacity:1}textarea:focus-visible,input:focus-visible{outline:0;border-color:var(--ink);box-shadow:0 0 0 1px var(--ink)}
.clip,.send{flex:none;width:42px;height:42px;border-radius:50%;display:grid;place-items:center}.clip:hover{background:var(--wash)}.send{color:var(--on);background:var(--mark)}
.chips{list-style:none;padding:0 0 8px;display:flex;flex-wrap:wrap;gap:6px;font-size:13px}.chips li{display:flex;align-items:center;gap:4px;max-width:100%;padding:2px 4px 2px 10px;border-radius:14px;background:var(--wash)}.chips span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.chips button{padding:5px}.chips svg{width:14px;height:14px}
.problem{color:var(--bad);font-size:13px;padding-block-end:8px}.fields{display:grid;gap:8px;padding-block-end:10px}.fields label{font-size:13px;color:var(--soft)}.fields input{display:block;width:100%;padding:7px 10px;font-size:16px;color:var(--ink);background:var(--paper);border:1px solid var(--edge);border-radius:8px}
.dropping form{background:var(--wash);outline:3px dashed var(--edge);outline-offset:-6px}
@media (max-width:480px){:host([data-open]){inset:0}:host([data-open]) .launch{display:none}.panel{width:100%;height:100%;margin:0;border:0;border-radius:0}}
@media print{:host{display:none}}
:host([data-page]){position:static;display:block}:host([data-page]) .launch{display:none}:host([data-page]) .panel{position:fixed;inset:0;margin:auto;width:min(560px,100vw);height:min(820px,100dvh)}`;

  const host = h("ticketgate-chat", { "data-theme": D.theme, "data-page": page, lang });
  const shadow = host.attachShadow({ mode: "open" }), sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  shadow.adoptedStyleSheets = [sheet];
  shadow.append(panel, launch);
  text.addEventListener("keydown", e => {
    if (e.key === "Enter" && !e.shiftKey && !e.isComposing && e.keyCode !== 229) { e.preventDefault(); post(); }  // 229: still choosing a character
  });
  panel.addEventListener("keydown", e => { if (e.key === "Escape" && !page && !e.isComposing) show(false); });
  panel.addEventListener("paste", e => { if (e.clipboardData.files.length && S.files) { e.preventDefault(); add(e.clipboardData.files); } });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) panel.addEventListener(kind, e => {
    if (!S.files || !e.dataTransfer.types.includes("Files")) return;
    e.preventDefault();
    panel.classList.toggle("dropping", kind === "dragover" || kind === "dragenter");
    if (kind === "drop") add(e.dataTransfer.files);
  });
  log.addEventListener("scroll", () => { stick = log.scrollHeight - log.scrollTop - log.clientHeight < 60; });
  addEventListener("online", () => { failed = 0; draw(); if (kept().key || token) { if (line) line.close(); else connect(); } });
  addEventListener("offline", draw);
  addEventListener("storage", e => { if (e.key === box) { draw(); if (kept().key && !panel.hidden) connect(); } });
  window.ticketgate = { open: () => show(true), close: () => show(false) };

  const begin = () => {
    document.body.append(host);
    const { draft, key, unsent, ...known } = kept();
    text.value = draft || "";
    for (const at of fields.querySelectorAll("input")) at.value = known[at.name] || "";
    if (page) show(true); else draw();
    if (key || unsent.length) connect();
  };
  if (document.body) begin(); else addEventListener("DOMContentLoaded", begin);
})();
