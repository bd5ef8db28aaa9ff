// Numbers, tables and bars. Text is only ever set as text.

const svgName = "http://www.w3.org/2000/svg";
const element = (id) => document.getElementById(id);

function make(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function drawing(name, attributes) {
  const node = document.createElementNS(svgName, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// A screen reader would otherwise hear of text that did not change.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const few = (value) => (value >= 100 ? whole : tenth).format(value);
const percent = (share) => `${(share * 100).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;

function time(milliseconds) {
  if (milliseconds < 9.95) return `${milliseconds.toFixed(1)} ms`;
  if (milliseconds < 1000) return `${milliseconds.toFixed(0)} ms`;
  if (milliseconds < 60000) return `${(milliseconds / 1000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

// Half a minute of looks.
const sparkLength = 120;

/** One figure with its unit, a remark, and a line of the last half minute. */
class Tile {
  constructor(list, title) {
    const box = make("div", "tile");
    this.value = make("dd", "value", "–");
    this.note = make("dd", "note");
    this.line = drawing("path", { class: "spark" });
    this.fill = drawing("path", { class: "sparkfill" });
    const line = drawing("svg", { viewBox: `0 0 ${sparkLength} 30`, preserveAspectRatio: "none", "aria-hidden": "true" });
    line.append(this.fill, this.line);
    const picture = make("dd");
    picture.append(line);
    box.append(make("dt", "", title), this.value, this.note, picture);
    list.append(box);
    this.reset();
  }

  reset() {
    this.history = [];
  }

  show(value, text, unit, note, most) {
    say(this.value, "");
    this.value.append(text, unit ? make("small", "", ` ${unit}`) : "");
    say(this.note, note);
    this.history.push(value);
    if (this.history.length > sparkLength) this.history.shift();
    const top = most ?? Math.max(1e-9, ...this.history);
    const first = sparkLength - this.history.length;
    const points = this.history.map((one, place) => `${first + place},${(29 - 28 * Math.min(1, one / top)).toFixed(1)}`);
    this.line.setAttribute("d", points.length > 1 ? `M${points.join("L")}` : "");
    this.fill.setAttribute("d", points.length > 1 ? `M${first},30L${points.join("L")}L${sparkLength - 1},30Z` : "");
  }
}

/** What a pass holds, in words. */
function describe(pass, budget) {
  const rectangle = pass.texts * pass.width;
  return {
    texts: `${whole.format(pass.texts)} ${pass.texts === 1 ? "text" : "texts"}`,
    fill: budget ? percent(pass.tokens / budget) : "–",
    padding: percent(rectangle > 0 ? 1 - pass.tokens / rectangle : 0),
    time: pass.ms === null ? "runs" : time(pass.ms),
  };
}

/** A thread's last pass, large: a row for each text. */
class Tray {
  constructor(list, thread) {
    const figure = make("figure", "tray");
    this.caption = make("figcaption");
    this.picture = drawing("svg", { viewBox: "0 0 1000 160", preserveAspectRatio: "none", "aria-hidden": "true" });
    figure.append(this.caption, this.picture);
    list.append(figure);
    this.thread = thread;
    say(this.caption, `Thread ${thread}: no pass yet`);
  }

  show(pass, budget) {
    if (this.shown === pass.pass) return;
    this.shown = pass.pass;
    const words = describe(pass, budget);
    const head = make("b", "", `Thread ${this.thread}: ${words.texts}, ${pass.lane}`);
    const shared = pass.shared ? ", other threads helped" : "";
    this.caption.replaceChildren(
      head, make("br"),
      `${whole.format(pass.tokens)} tokens${budget ? `, ${words.fill} of the budget` : ""}; longest ${pass.width}; `
        + `padding ${words.padding}; ${words.time}${shared}`);
    const rows = sortedLengths(pass);
    const step = Math.min(40, 160 / rows.length);
    const bars = rows.flatMap((length, row) => {
      const y = 160 - (row + 1) * step;
      const height = step > 3 ? step - 1 : step * 0.85;
      const filled = (1000 * length) / pass.width;
      return [
        drawing("rect", { class: pass.lane, x: 0, y, width: filled, height }),
        drawing("rect", { class: "padding", x: filled, y, width: 1000 - filled, height }),
      ];
    });
    this.picture.replaceChildren(...bars);
  }
}

function row(cells, head) {
  const line = make("tr");
  cells.forEach((cell, place) => {
    const node = make(place === 0 && head ? "th" : "td", "", cell);
    if (place === 0 && head) node.scope = "row";
    line.append(node);
  });
  return line;
}

function showTable(passes, budget) {
  const rows = passes.slice(-24).reverse().map((pass) => {
    const words = describe(pass, budget);
    return row([
      `${pass.pass}`, `${pass.thread}`, pass.lane, `${pass.texts}`, `${pass.width}`, `${pass.tokens}`, words.fill,
      words.padding, words.time,
    ], true);
  });
  document.querySelector("#pass-table tbody").replaceChildren(...rows);
}

function showLanes(lanes) {
  for (const line of document.querySelectorAll("#lanes tbody tr")) {
    const load = lanes[line.dataset.lane];
    if (!load) continue;
    const [texts, tokens, oldest] = line.querySelectorAll("td");
    say(texts, whole.format(load.texts));
    say(tokens, whole.format(load.tokens));
    say(oldest, load.oldest_ms === null ? "–" : time(load.oldest_ms));
  }
}

const causes = {
  overloaded: "queue full",
  deadline_unreachable: "deadline out of reach",
  deadline_exceeded: "deadline passed while waiting",
  request_too_large: "larger than the queue",
  input_too_long: "text beyond the model’s limit",
  invalid_token: "token id that the model has not",
  vector_not_finite: "no finite vector",
  compute_failed: "compute thread lost",
  shutting_down: "server stops",
  cancelled: "given up by the caller",
  waiting: "texts dropped before a pass",
  running: "texts computed for nobody",
};

/** Counts by cause, with what the last minute added. */
class Losses {
  constructor() {
    this.reset();
  }

  reset() {
    this.history = [];
  }

  show(activity) {
    const now = { ...activity.refused, ...activity.dropped };
    this.history.push({ at: activity.now_ms, counts: now });
    while (this.history.length > 1 && this.history[1].at < activity.now_ms - 60000) this.history.shift();
    const before = this.history[0].counts;
    const rows = Object.entries(now).filter(([, count]) => count > 0).map(([cause, count]) => row([
      causes[cause] ?? cause.replaceAll("_", " "), whole.format(count - (before[cause] ?? 0)), whole.format(count),
    ], true));
    element("refused").hidden = rows.length === 0;
    element("refused-none").hidden = rows.length > 0;
    document.querySelector("#refused tbody").replaceChildren(...rows);
  }
}
