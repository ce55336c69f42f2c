// A grid of numbers with their names.

import { element, write } from "./format.js";

export class Numbers {
  // fields: [key, name, text of an object] each
  constructor(fields) {
    this.fields = fields;
    this.values = fields.map(([key]) => element("dd", { "data-value": key }, "-"));
    const pairs = fields.map(([, name], place) => element("div", {}, element("dt", {}, name), this.values[place]));
    this.root = element("dl", { class: "numbers" }, ...pairs);
  }

  show(one) {
    this.fields.forEach(([, , text], place) => write(this.values[place], text(one)));
  }
}
