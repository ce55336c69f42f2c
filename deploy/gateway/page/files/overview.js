// Problems, models, and the last results.

import { element, marked, percent, plural, whole, write } from "./format.js";
import { Numbers } from "./numbers.js";

export function showProblems(root, pipelines) {
  const found = pipelines.flatMap((one) => one.problems.map((text) => [one.name, text]));
  const page = pipelines.map((one) => one.alarms_page).find(Boolean);
  const key = JSON.stringify([found, page]);
  if (root.dataset.key === key) return;
  root.dataset.key = key;
  root.dataset.ok = found.length ? "no" : "yes";
  const list = element("ul", {}, ...found.map(([name, text]) =>
    element("li", {}, element("strong", {}, name), ": ", ...marked(text))));
  root.querySelector("div").replaceChildren(
    ...(found.length ? [list] : [element("p", {}, "None: all pipelines run.")]),
    ...(page ? [element("p", { class: "hint" }, "What each alarm means: ", element("code", {}, page))] : []));
}

const NUMBERS = [
  ["replicas", "replicas", (one) => whole(one.replicas)],
  ["wanted", "replicas wanted", (one) => whole(one.wanted ?? one.replicas)],
  ["token_rate", "tokens/s", (one) => whole(one.token_rate)],
  ["sequence_rate", "texts/s", (one) => whole(one.sequence_rate)],
  ["busy", "busy", (one) => percent(one.busy)],
  ["padding", "padding", (one) => percent(one.padding)],
];

export class Models {
  constructor(root) {
    this.root = root;
    this.numbers = new Map();
  }

  show(models, about) {
    if ([...this.numbers.keys()].join() !== models.map((one) => one.name).join()) this.make(models, about);
    for (const one of models) this.numbers.get(one.name).show(one);
  }

  make(models, about) {
    const tasks = new Map(about.models.map((one) => [one.name, one.task]));
    this.numbers = new Map(models.map((one) => [one.name, new Numbers(NUMBERS)]));
    this.root.replaceChildren(...models.map((one) => element("div", { class: "model" },
      element("div", { class: "head" }, element("h3", {}, element("strong", {}, one.name)),
        element("span", { class: "hint" }, tasks.get(one.name) ?? "")),
      this.numbers.get(one.name).root)));
  }
}

export function showHttp(node, http) {
  write(node, http ? `HTTP: ${plural(http.requests, "request")}, ${whole(http.in_flight)} in flight, `
    + `${whole(http.refused)} refused with 429, ${whole(http.failed)} failed with 5xx` : "");
}

export function showRecent(list, recent, several, palette) {
  const newest = [...recent].reverse();
  const key = newest.map((one) => one.place).join();
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...newest.map((one) => element("li", {},
    element("span", { class: "label" }, ...swatch(one, palette), one.label),
    element("span", { class: "score" }, one.score === null ? "" : one.score.toFixed(3)),
    one.text === undefined
      ? element("code", { class: "place" }, one.place)
      : element("span", { class: "text" }, one.text),
    element("span", { class: "hint" }, [
      ...(several ? [one.model] : []),
      ...(one.abstained ? ["not accepted"] : []),
      ...(one.others ?? []).map(([token, score]) => `or ${token} ${score.toFixed(3)}`),
    ].join(", ")))));
}

// The charts count labels alone: neither tokens for a mask nor embeddings have a color.
function swatch(one, palette) {
  if (one.others || one.score === null) return [];
  return [element("span", { class: `swatch label-${palette.of(one.label)}`, "aria-hidden": "true" })];
}

export function showUpdated(node) {
  write(node, `Updated ${new Date().toLocaleTimeString("en-GB")}`);
}
