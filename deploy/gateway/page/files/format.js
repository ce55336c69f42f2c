// Numbers as people read them, and elements made without HTML in strings: foreign text never becomes markup.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];

export function whole(value) {
  return value === null || value === undefined ? "-" : WHOLE.format(value);
}

export function percent(share) {
  return share === null || share === undefined ? "-" : `${WHOLE.format(share * 100)}%`;
}

export function seconds(value) {
  if (value === null || value === undefined) return "-";
  for (const [unit, name] of UNITS) {
    if (value >= 2 * unit) return `${WHOLE.format(value / unit)} ${name}`;
  }
  if (value > 0 && value < 1) return `${WHOLE.format(value * 1000)} ms`;
  return value >= 1 && value < 9.95 ? `${value.toFixed(1)} s` : `${WHOLE.format(value)} s`;
}

export function milliseconds(value) {
  return seconds(value === null || value === undefined ? null : value / 1000);
}

export function plural(count, noun) {
  return `${WHOLE.format(count)} ${noun}${count === 1 ? "" : "s"}`;
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  fill(made, attributes, children);
  return made;
}

export function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(made, attributes, children);
  return made;
}

// Text with commands between backticks.
export function marked(text) {
  return text.split("`").map((part, place) => (place % 2 ? element("code", {}, part) : part));
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
}

// Changes the text only if it differs, so that a screen reader and a selection stay where they are.
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
