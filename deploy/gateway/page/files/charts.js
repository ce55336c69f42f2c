// The charts: throughput as a line, labels as shares of each window.

import { drawing, element, percent, plural, whole } from "./format.js";

export const COLORS = 8;
const PER_MINUTE = 12, WIDTH = 600, LINE = 48, SHARES = 72, OTHER = "(other)";

// The charts cover whole minutes.
function minutes(windows) {
  return Math.max(1, Math.ceil(windows.length / PER_MINUTE));
}

export function period(windows) {
  return plural(minutes(windows), "minute");
}

// The place of a window from the left; the newest is at the right edge.
function left(index, windows) {
  const places = minutes(windows) * PER_MINUTE;
  return ((places - windows.length + index) * WIDTH) / places;
}

function picture(height, title) {
  return drawing("svg", {
    viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": title,
  });
}

export function throughput(windows, name) {
  const rates = windows.map((one) => one.pipelines[name]?.out_rate ?? 0);
  const top = Math.max(1, ...rates);
  const points = rates.map((rate, index) => {
    const x = left(index + 0.5, windows).toFixed(1);
    return `${x},${(LINE - 2 - (rate / top) * (LINE - 6)).toFixed(1)}`;
  });
  const made = picture(LINE, `Results per second, ${period(windows)}: now ${whole(rates.at(-1))}, at most ${whole(Math.max(0, ...rates))}`);
  if (points.length > 1) {
    const ends = [left(0.5, windows), left(rates.length - 0.5, windows)];
    made.append(drawing("polygon", { class: "area", points: `${ends[0]},${LINE} ${points.join(" ")} ${ends[1]},${LINE}` }));
    made.append(drawing("polyline", { class: "line", points: points.join(" ") }));
  }
  return [Math.max(0, ...rates), made];
}

// Labels keep the color of their first appearance.
export class Palette {
  constructor() {
    this.places = new Map();
  }

  of(label) {
    if (label === OTHER) return "other";
    if (!this.places.has(label)) this.places.set(label, this.places.size % COLORS);
    return this.places.get(label);
  }
}

export function shares(windows, name, model, palette) {
  const counts = windows.map((one) => one.pipelines[name]?.labels[model] ?? {});
  const totals = new Map();
  for (const window of counts) {
    for (const [label, count] of Object.entries(window)) totals.set(label, (totals.get(label) ?? 0) + count);
  }
  const all = [...totals.values()].reduce((sum, count) => sum + count, 0);
  const labels = [...totals.keys()].sort((a, b) => (a === OTHER) - (b === OTHER) || totals.get(b) - totals.get(a));
  const order = [...labels].sort(); // columns keep one order, whatever is frequent now
  for (const label of order) palette.of(label);
  const told = labels.map((label) => `${label} ${percent(totals.get(label) / all)}`);
  const made = picture(SHARES, `Shares of labels, ${period(windows)}: ${told.join(", ") || "no labels"}`);
  counts.forEach((window, index) => {
    const sum = Object.values(window).reduce((total, count) => total + count, 0);
    let top = 0;
    for (const label of order) {
      const height = sum ? ((window[label] ?? 0) / sum) * SHARES : 0;
      if (!height) continue;
      const x = left(index, windows);
      made.append(drawing("rect", {
        class: `label-${palette.of(label)}`, x, y: top.toFixed(2), width: left(1, windows) - left(0, windows) - 1, height: height.toFixed(2),
      }));
      top += height;
    }
  });
  const legend = element("ul", { class: "legend" });
  for (const label of labels) {
    legend.append(element("li", {},
      element("span", { class: `swatch label-${palette.of(label)}`, "aria-hidden": "true" }),
      element("span", { class: "name" }, label), " ",
      element("strong", {}, percent(totals.get(label) / all))));
  }
  return [made, legend];
}
