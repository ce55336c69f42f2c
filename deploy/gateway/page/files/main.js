// The page: shows what the gateway sends.

import { Palette } from "./charts.js";
import { Models, showHttp, showProblems, showRecent, showUpdated } from "./overview.js";
import { Pipelines } from "./pipelines.js";
import { Stream } from "./stream.js";
import { Tryout } from "./tryout.js";
import { write } from "./format.js";

const KEY = "labelstream-token", WINDOWS = 60, HIDDEN_MS = 60000;
const find = (selector) => document.querySelector(selector);
const needsToken = document.documentElement.dataset.token === "yes";
const palette = new Palette();
const pipelines = new Pipelines(find("#pipelines"), palette);
const models = new Models(find("#models > div"));
const tryout = new Tryout(find("#try"), token);
let about = { models: [], texts: false }, windows = [], stream = null, hiddenTimer = null;

function token() {
  return sessionStorage.getItem(KEY) ?? "";
}

const show = {
  about(data) {
    about = data;
    tryout.about(data.models);
    write(find("#recent-hint"), data.texts ? "A sample." : "A sample, without texts: http.page_texts shows them.");
  },
  history(data) {
    windows = data;
    pipelines.draw(windows);
  },
  window(data) {
    windows = [...windows, data].slice(-WINDOWS);
    pipelines.draw(windows);
  },
  status(data) {
    find("#data").hidden = false;
    pipelines.show(data.pipelines, windows);
    find("#problems").hidden = find("#recent").hidden = data.pipelines.length === 0;
    showProblems(find("#problems"), data.pipelines);
    models.show(data.models, about);
    showHttp(find("#http"), data.http);
    showRecent(find("#recent ol"), data.recent, about.models.length > 1, palette);
    showUpdated(find("#updated"));
  },
  trouble(data) {
    state(data.text, "lost");
  },
};

function state(text, name) {
  const node = find("#link");
  write(node, text);
  node.dataset.state = name;
}

function start() {
  stream?.close();
  stream = new Stream("page/events", token, {
    event: (name, data) => show[name]?.(data),
    state,
    refused: askForToken,
  });
}

function askForToken(message) {
  sessionStorage.removeItem(KEY);
  stream = null;
  find("#data").hidden = true;
  find("#login").hidden = false;
  write(find("#login-error"), message);
  state("token needed", "waiting");
  find("#token").focus();
}

find("#login form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, find("#token").value.trim());
  find("#token").value = "";
  find("#login").hidden = true;
  write(find("#login-error"), "");
  start();
});

// A tab that nobody looks at gives its place to another viewer.
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) {
    hiddenTimer = setTimeout(() => {
      stream?.close();
      state("paused", "waiting");
    }, HIDDEN_MS);
  } else if (stream?.closed) {
    start();
  }
});

// A page that the browser keeps for the button Back must not hold its connection.
window.addEventListener("pagehide", () => stream?.close());
window.addEventListener("pageshow", (event) => {
  if (event.persisted && stream?.closed) start();
});

if (needsToken && !token()) askForToken("");
else start();
