// The editor of rulebooks: a textarea with `data-editor` becomes one that colours YAML, shows findings where they are,
// and offers what may stand at the cursor. Without scripts the textarea stays, and the page works all the same.
//
//   data-check      where the text is posted to (with the form's other fields); answers {here: [{line, ...}], listed: HTML}
//   data-findings   the id of what shows the list
//   data-schema     JSON Schema of a rulebook with this deployment's codes, as `ticketgate rules schema` prints
import { autocompletion, startCompletion } from "@codemirror/autocomplete";
import { indentWithTab } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { forceLinting, linter, lintGutter } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { EditorView, keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { basicSetup } from "codemirror";
import { proposals } from "./schema.js";

const PAUSE = 400; // milliseconds without a keystroke before the text is checked

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--mark)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--warn)" },
  { tag: tags.comment, color: "var(--soft)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator, tags.meta], color: "var(--soft)" },
]);

const dress = EditorView.theme({
  "&": { border: "1px solid var(--edge)", borderRadius: ".35rem", background: "var(--paper)", color: "var(--ink)", fontSize: ".9rem" },
  "&.cm-focused": { outline: "2px solid var(--mark)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "ui-monospace, SFMono-Regular, 'Noto Sans Mono', 'Noto Sans Mono CJK SC', monospace", minHeight: "28rem", maxHeight: "75vh" },
  ".cm-gutters": { background: "var(--wash)", color: "var(--soft)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "color-mix(in srgb, var(--mark-wash) 55%, transparent)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { background: "var(--mark-wash)" },
  ".cm-tooltip": { background: "var(--paper)", color: "var(--ink)", border: "1px solid var(--edge)", borderRadius: ".35rem" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { background: "var(--mark)", color: "var(--on-mark)" },
  ".cm-panels": { background: "var(--wash)", color: "var(--ink)" },
  // Its own marks are pictures in data: addresses, which the policy does not have.
  ".cm-lintRange": { backgroundImage: "none" },
  ".cm-lintRange-error": { textDecoration: "underline wavy var(--bad)" },
  ".cm-lintRange-warning": { textDecoration: "underline wavy var(--warn)" },
  ".cm-lint-marker": { content: "none", width: ".7em", height: ".7em", borderRadius: "50%", margin: ".35em auto 0" },
  ".cm-lint-marker-error": { content: "none", background: "var(--bad)" },
  ".cm-lint-marker-warning": { content: "none", background: "var(--warn)" },
  ".cm-diagnostic": { whiteSpace: "pre-wrap", padding: ".35rem .6rem" },
});

function checked(area) {
  return linter(async (view) => {
    const fields = new FormData(area.form);
    fields.set(area.name, view.state.doc.toString());
    const answer = await fetch(area.dataset.check, { method: "POST", body: new URLSearchParams(fields) });
    if (!answer.ok) return [];
    const { here, listed } = await answer.json();
    const list = document.getElementById(area.dataset.findings);
    if (list) list.innerHTML = listed;
    return here.map((one) => diagnostic(view.state.doc, one));
  }, { delay: PAUSE });
}

function diagnostic(doc, { line, column, severity, message, hint, code }) {
  const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
  const from = Math.min(at.from + Math.max(column - 1, 0), at.to);
  const word = /^[^\s,:\]}]+/.exec(doc.sliceString(from, at.to));
  return { from, to: from + (word ? word[0].length : 0), severity, message: hint ? `${message}\n${hint}` : message, source: code };
}

function completing(area) {
  let schema = null;
  const asked = fetch(area.dataset.schema).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
  return autocompletion({
    override: [async (context) => {
      schema ??= await asked;
      const word = context.matchBefore(/[^\s,:[\]{}"']*/);
      if (!schema || (!context.explicit && word.from === word.to)) return null;
      const options = proposals(schema, context.state.doc.sliceString(0, word.from));
      return options.length ? { from: word.from, options, validFor: /^[^\s,:[\]{}"']*$/ } : null;
    }],
  });
}

function edit(area) {
  // In a shadow root its styles are adopted, not written into the page, where the policy would not have them.
  const host = document.createElement("div");
  host.className = "editor";
  const root = host.attachShadow({ mode: "open" });
  area.after(host);
  const view = new EditorView({
    parent: root,
    root,
    doc: area.value,
    extensions: [
      basicSetup, yaml(), indentUnit.of("  "), EditorState.tabSize.of(2), EditorView.lineWrapping, lintGutter(),
      syntaxHighlighting(colours), dress, checked(area), completing(area),
      // Escape, then Tab leaves the editor: nobody is caught in it (WCAG 2.1.2).
      keymap.of([{ key: "Ctrl-Space", run: startCompletion }, indentWithTab]),
      EditorView.contentAttributes.of({ tabindex: "0", "aria-label": area.getAttribute("aria-label") || area.labels?.[0]?.textContent || "" }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) {
          area.value = update.state.doc.toString();
          area.dispatchEvent(new Event("input", { bubbles: true }));
        }
      }),
    ],
  });
  area.hidden = true;
  forceLinting(view);
  document.addEventListener("click", (event) => {
    const to = event.target.closest?.("[data-line]");
    if (!to || !host.isConnected) return;
    event.preventDefault();
    const line = view.state.doc.line(Math.min(Number(to.dataset.line), view.state.doc.lines));
    view.dispatch({ selection: { anchor: Math.min(line.from + Number(to.dataset.column || 1) - 1, line.to) }, scrollIntoView: true });
    view.focus();
  });
}

function all(within) {
  within.querySelectorAll("textarea[data-editor]:not([hidden])").forEach(edit);
}

document.addEventListener("htmx:load", (event) => all(event.target));
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => all(document));
else all(document);
