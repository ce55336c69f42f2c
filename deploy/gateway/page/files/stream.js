// Server-sent events by fetch: EventSource cannot send a token. Connects again until `close`.

const FIRST_WAIT_MS = 1000, LONGEST_WAIT_MS = 15000;
const SILENT_MS = 15000; // an event comes every second

export class Stream {
  // on: {event(name, data), state(text, state), refused(message)}
  constructor(url, token, on) {
    this.url = url;
    this.token = token;
    this.on = on;
    this.wait = FIRST_WAIT_MS;
    this.closed = false;
    this.run();
  }

  close() {
    this.closed = true;
    this.abort?.abort();
  }

  async run() {
    while (!this.closed) {
      let why = "";
      try {
        why = await this.connect();
      } catch (error) {
        why = "no connection";
      }
      clearTimeout(this.timer);
      if (this.closed) return;
      if (why) this.on.state(`${why}; connecting again`, "lost");
      await new Promise((resolve) => setTimeout(resolve, why ? this.wait : 100));
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
    }
  }

  // Reads one connection to its end. Returns why it failed; empty if the gateway ended it.
  async connect() {
    this.abort = new AbortController();
    this.watch();
    const headers = this.token() ? { authorization: `Bearer ${this.token()}` } : {};
    const response = await fetch(this.url, { headers, signal: this.abort.signal, cache: "no-store" });
    if (response.status === 401) {
      this.closed = true;
      this.on.refused("The token is wrong.");
      return "";
    }
    if (!response.ok) return (await refusal(response)) || `HTTP ${response.status}`;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return "";
      this.watch();
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) this.take(part);
    }
  }

  take(part) {
    const fields = Object.fromEntries(part.split("\n").map((line) => line.split(/: (.*)/s, 2)));
    this.wait = FIRST_WAIT_MS;
    this.on.state("live", "live");
    this.on.event(fields.event, JSON.parse(fields.data));
  }

  watch() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.abort.abort(), SILENT_MS);
  }
}

async function refusal(response) {
  try {
    return (await response.json()).error;
  } catch {
    return "";
  }
}
