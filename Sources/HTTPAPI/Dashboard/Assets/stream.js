"use strict";
// The connection to /v1/live. EventSource cannot send a key, so the events are read from fetch.

const keyName = "ovenbird-key";
const savedKey = () => sessionStorage.getItem(keyName);
const saveKey = (key) => sessionStorage.setItem(keyName, key);
const forgetKey = () => sessionStorage.removeItem(keyName);

// The server speaks four times a second; a connection that is silent for so long is lost, even if nobody said so.
const silenceLimit = 6000;
const longestPause = 8000;

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Follows the server for as long as the page lives. `on` has a function for each event, and onState, onKey. */
class LiveStream {
  constructor(on) {
    this.on = on;
    this.pause = 500;
    this.wake = () => {};
    this.abort = new AbortController();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.abort.abort() : this.wake()));
    this.run();
  }

  /** Begins anew, with whatever key there is now. */
  retry() {
    this.isAsked = true;
    this.pause = 500;
    this.abort.abort();
    this.wake();
  }

  async run() {
    for (;;) {
      this.isAsked = false;
      if (document.hidden) {
        this.on.onState("paused");
        await this.rest(Infinity);
      }
      let wait = this.pause;
      try {
        await this.follow();
        this.on.onState("lost", wait);
      } catch (error) {
        if (error instanceof Refused && error.status === 401) {
          this.on.onKey(savedKey() !== null);
          forgetKey();
          wait = Infinity;
        } else if (!document.hidden && !this.isAsked) {
          this.on.onState("lost", wait, error instanceof Refused ? error.message : undefined);
        }
      }
      if (this.isAsked) continue;
      // Watchers of a server that starts again do not all come at once.
      await this.rest(wait * (0.8 + Math.random() * 0.4));
      this.pause = Math.min(longestPause, this.pause * 2);
    }
  }

  async follow() {
    this.on.onState("connecting");
    this.abort = new AbortController();
    const key = savedKey();
    const headers = key === null ? {} : { Authorization: `Bearer ${key}` };
    let alarm = setTimeout(() => this.abort.abort(), silenceLimit);
    try {
      const answer = await fetch("v1/live", { headers, cache: "no-store", signal: this.abort.signal });
      if (!answer.ok) throw new Refused(answer.status, await reason(answer));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(alarm);
        alarm = setTimeout(() => this.abort.abort(), silenceLimit);
        const events = (text + value).split("\n\n");
        text = events.pop();
        for (const event of events) this.dispatch(event);
      }
    } finally {
      clearTimeout(alarm);
    }
  }

  dispatch(event) {
    const name = /^event: (.*)$/m.exec(event);
    const data = /^data: (.*)$/m.exec(event);
    if (!name || !data) return;
    this.pause = 500;
    const listener = this.on[name[1]];
    if (listener) listener(JSON.parse(data[1]));
  }

  rest(milliseconds) {
    return new Promise((resolve) => {
      this.wake = resolve;
      if (milliseconds !== Infinity) setTimeout(resolve, milliseconds);
    });
  }
}

async function reason(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `the server answered ${answer.status}`;
  }
}
