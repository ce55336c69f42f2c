// One section for each pipeline: numbers, reasons, charts.

import { period, shares, throughput } from "./charts.js";
import { element, marked, milliseconds, plural, seconds, whole, write } from "./format.js";
import { Numbers } from "./numbers.js";

const NUMBERS = [
  ["out_rate", "results/s", (one) => whole(one.out_rate)],
  ["in_rate", "messages in/s", (one) => whole(one.in_rate)],
  ["lag", "lag", (one) => whole(one.lag)],
  ["oldest", "age of the oldest", (one) => seconds(one.oldest_s)],
  ["p50", "latency p50", (one) => milliseconds(one.p50_ms)],
  ["p99", "latency p99", (one) => milliseconds(one.p99_ms)],
  ["in_flight", "in flight", (one) => whole(one.in_flight)],
  ["results", "results", (one) => whole(one.results)],
];

class Section {
  constructor(name, palette) {
    this.name = name;
    this.palette = palette;
    const title = `pipeline-${name}`;
    this.state = element("span", { class: "state" });
    this.workers = element("span", { class: "hint" });
    this.numbers = new Numbers(NUMBERS);
    this.charts = element("div", { class: "pair charts" });
    this.dead = new Reasons("Dead letters", "dead_letters");
    this.skipped = new Reasons("Skipped", "skipped");
    this.root = element("section", { class: "pipeline", "aria-labelledby": title },
      element("div", { class: "head" }, element("h2", { id: title }, name), this.state, this.workers),
      this.numbers.root, this.charts,
      element("div", { class: "pair" }, this.dead.root, this.skipped.root));
  }

  show(one) {
    write(this.state, one.state || "no worker");
    this.state.dataset.ok = one.state === "running" ? "yes" : "no";
    write(this.workers, plural(one.workers, "worker"));
    this.numbers.show(one);
    this.dead.show(one.dead_letters, one.dead_letters_hint);
    this.skipped.show(one.skipped);
  }

  draw(windows) {
    const [top, line] = throughput(windows, this.name);
    const title = `Results per second, ${period(windows)}, at most ${whole(top)}`;
    const rates = element("div", { class: "chart" }, element("h3", {}, title), line);
    const models = new Set(windows.flatMap((one) => Object.keys(one.pipelines[this.name]?.labels ?? {})));
    const charts = [...models].sort().map((model) => {
      const name = models.size > 1 ? `Labels of ${model}, ${period(windows)}` : `Shares of labels, ${period(windows)}`;
      return element("div", { class: "chart" }, element("h3", {}, name), ...shares(windows, this.name, model, this.palette));
    });
    this.charts.replaceChildren(rates, ...charts);
  }
}

class Reasons {
  constructor(title, key) {
    this.total = element("strong", { "data-value": key }, "0");
    this.rows = element("ul", { class: "reasons", "data-reasons": key });
    this.hint = element("p", { class: "hint" });
    this.root = element("div", { class: "reason-box" }, element("h3", {}, title, " ", this.total), this.rows, this.hint);
    this.key = key;
  }

  show(counts, hint) {
    const entries = Object.entries(counts).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const total = entries.reduce((sum, [, count]) => sum + count, 0);
    this.root.hidden = this.key === "skipped" && total === 0;
    write(this.total, whole(total));
    const texts = entries.map(([reason, count]) => `${reason}\n${count}`).join("\n");
    if (this.shown !== texts) {
      this.shown = texts;
      this.rows.replaceChildren(...entries.map(([reason, count]) =>
        element("li", {}, element("code", {}, reason), " ", element("strong", {}, whole(count)))));
    }
    if (this.hint.textContent !== (hint ?? "").replaceAll("`", "")) this.hint.replaceChildren(...marked(hint ?? ""));
  }
}

export class Pipelines {
  constructor(root, palette) {
    this.root = root;
    this.palette = palette;
    this.sections = new Map();
  }

  show(pipelines, windows) {
    const names = new Set(pipelines.map((one) => one.name));
    for (const [name, section] of this.sections) {
      if (!names.has(name)) {
        section.root.remove();
        this.sections.delete(name);
      }
    }
    for (const one of pipelines) {
      if (!this.sections.has(one.name)) {
        const made = new Section(one.name, this.palette);
        this.sections.set(one.name, made);
        this.root.append(made.root);
        made.draw(windows);
      }
      this.sections.get(one.name).show(one);
    }
  }

  draw(windows) {
    for (const section of this.sections.values()) section.draw(windows);
  }
}
