// The box that sends a text to a model.

import { element, write } from "./format.js";

const ZERO_SHOT = "zero-shot-classification", NUMBERS = 8, BARS = 10;

export class Tryout {
  constructor(root, token) {
    this.token = token;
    this.model = root.querySelector("select");
    this.text = root.querySelector("textarea");
    this.candidates = root.querySelector("#try-candidates");
    this.labels = root.querySelector("#try-labels");
    this.button = root.querySelector("button");
    this.answer = root.querySelector("#try-answer");
    this.choice = root.querySelector("#try-models");
    this.model.addEventListener("change", () => this.choose());
    root.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.send();
    });
  }

  about(models) {
    this.tasks = new Map(models.map((one) => [one.name, one.task]));
    const chosen = this.model.value;
    this.model.replaceChildren(...models.map((one) => element("option", { value: one.name }, `${one.name} (${one.task})`)));
    if (this.tasks.has(chosen)) this.model.value = chosen;
    this.choice.hidden = models.length < 2;
    this.choose();
  }

  choose() {
    this.candidates.hidden = this.tasks.get(this.model.value) !== ZERO_SHOT;
  }

  async send() {
    if (!this.text.value.trim()) return;
    const message = { text: this.text.value };
    const labels = this.labels.value.split(",").map((label) => label.trim()).filter(Boolean);
    if (!this.candidates.hidden && labels.length) message.candidate_labels = labels;
    this.button.disabled = true;
    try {
      const headers = { "content-type": "application/json" };
      if (this.token()) headers.authorization = `Bearer ${this.token()}`;
      const path = `models/${encodeURIComponent(this.model.value)}/classify`;
      const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(message) });
      const body = await response.json();
      if (response.ok) this.show(body);
      else this.fail(body.message ?? `HTTP ${response.status}`);
    } catch {
      this.fail("no connection");
    } finally {
      this.button.disabled = false;
    }
  }

  fail(message) {
    this.answer.replaceChildren(element("p", { class: "error" }, message));
  }

  show(result) {
    const parts = [];
    if (result.scores) {
      parts.push(bars(result.scores.map((one) => [one.label, one.score])));
      if (result.abstained) parts.push(element("p", { class: "hint" }, "No label reaches its threshold."));
    } else if (result.masks) {
      parts.push(...result.masks.map((mask) => bars(mask.map((one) => [one.token, one.score]))));
    } else if (result.embedding) {
      const numbers = result.embedding.slice(0, NUMBERS).map((number) => number.toFixed(4)).join(", ");
      parts.push(element("p", {}, `${result.embedding.length} numbers: `, element("code", {}, `${numbers}, ..`)));
    }
    if (result.truncated) parts.push(element("p", { class: "hint" }, "The text is longer than the model reads."));
    this.answer.replaceChildren(...parts);
  }
}

function bars(entries) {
  const list = element("ul", { class: "bars" });
  for (const [label, score] of entries.slice(0, BARS)) {
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${Math.max(0, Math.min(1, score)) * 100}%`;
    list.append(element("li", {}, element("span", { class: "name" }, label), element("strong", {}, score.toFixed(3)),
      element("span", { class: "track" }, bar)));
  }
  return list;
}
