// The page: what the server says, put where it belongs.

const board = {
  timeline: new Timeline(element("timeline")),
  losses: new Losses(),
  tiles: {
    texts: new Tile(element("tiles"), "Texts a second"),
    tokens: new Tile(element("tiles"), "Tokens a second"),
    batch: new Tile(element("tiles"), "Effective batch"),
    fill: new Tile(element("tiles"), "Budget filled"),
    real: new Tile(element("tiles"), "Real tokens"),
    waiting: new Tile(element("tiles"), "Waiting"),
  },
  trays: [],
  lastPass: new Map(),
  jobRates: new Map(),
  lastTable: 0,
  isPaused: false,
};
// A crowd of threads is seen in the picture; large, the first ones stand for all.
const mostTrays = 8;

const stream = new LiveStream({ hello, activity, jobs, onState, onKey });

function hello(info) {
  const batching = info.batching ?? {};
  board.budget = batching.max_batch_tokens;
  board.queueLimit = batching.max_queued_tokens;
  const threads = info.processors?.compute_threads ?? 1;
  board.timeline.reset(threads);
  board.losses.reset();
  board.lastPass.clear();
  for (const tile of Object.values(board.tiles)) tile.reset();
  element("trays").replaceChildren();
  board.trays = Array.from({ length: Math.min(threads, mostTrays) }, (_, thread) => new Tray(element("trays"), thread));
  if (board.isPaused) togglePause();
  const facts = [info.model?.name, info.precision, batching.mode && `${batching.mode} batching`,
    `${threads} compute ${threads === 1 ? "thread" : "threads"}`, info.version && `version ${info.version}`];
  say(element("server"), facts.filter(Boolean).join(" · "));
  say(element("layout-note"), batching.layout === "packed" ? "The packed layout leaves padding out of the dense layers." : "");
  element("jobs-card").hidden = !info.storage || info.storage === "none";
  showDoor(false);
  element("board").hidden = false;
}

function activity(now) {
  onState("live");
  const { timeline, tiles } = board;
  timeline.add(now, performance.now());
  // What ran between the steps of another pass is small, and would hide it.
  for (const pass of now.passes) if (!pass.interlude) board.lastPass.set(pass.thread, pass);
  const rate = now.texts_per_second;
  tiles.texts.show(rate, few(rate), "", `${whole.format(now.totals.texts)} since start`);
  tiles.tokens.show(now.tokens_per_second, whole.format(now.tokens_per_second), "",
    `${whole.format(now.totals.tokens)} since start`);
  const batch = now.texts_per_pass;
  tiles.batch.show(batch ?? 0, batch === null ? "–" : tenth.format(batch), "texts a pass",
    `${whole.format(now.active_requests)} active ${now.active_requests === 1 ? "request" : "requests"}`);
  const tokens = now.tokens_per_pass;
  const share = tokens !== null && board.budget ? tokens / board.budget : null;
  tiles.fill.show(share ?? 0, share === null ? "–" : percent(share), "",
    tokens === null ? "no pass just now" : `${whole.format(tokens)} of ${whole.format(board.budget ?? 0)} tokens a pass`, 1);
  const real = now.real_share;
  tiles.real.show(real ?? 0, real === null ? "–" : percent(real), "",
    real === null ? "no pass just now" : `padding ${percent(1 - real)}`, 1);
  const lanes = Object.values(now.lanes);
  const waiting = lanes.reduce((sum, lane) => sum + lane.texts, 0);
  const oldest = Math.max(0, ...lanes.map((lane) => lane.oldest_ms ?? 0));
  tiles.waiting.show(waiting, whole.format(waiting), waiting === 1 ? "text" : "texts",
    waiting > 0 ? `the oldest for ${time(oldest)}` : "nothing waits");
  showLanes(now.lanes);
  board.losses.show(now);
  const queue = element("queue");
  queue.max = board.queueLimit ?? 1;
  queue.value = now.admitted_tokens;
  say(element("queue-text"), `${whole.format(now.admitted_tokens)} of ${whole.format(board.queueLimit ?? 0)}`);
  if (!board.isPaused) showPasses();
}

function showPasses() {
  for (const tray of board.trays) {
    const pass = board.lastPass.get(tray.thread);
    if (pass) tray.show(pass, board.budget);
  }
  const isDue = performance.now() - board.lastTable > 1000;
  if (!isDue) return;
  board.lastTable = performance.now();
  const passes = board.timeline.passes;
  if (element("table-box").open) showTable(passes, board.budget);
  const recent = passes.filter((pass) => pass.start_ms > board.timeline.latest - board.timeline.seconds * 1000);
  element("timeline").setAttribute("aria-label",
    `Passes on each compute thread over time: ${recent.length} in the last ${board.timeline.seconds} seconds`);
}

function jobs(list) {
  const note = element("jobs-note");
  if (list.error) return say(note, `The database does not answer: ${list.error}`);
  const now = performance.now();
  const items = list.data.map((job) => {
    const { total, succeeded, failed, deduplicated } = job.counts;
    const done = succeeded + failed;
    const item = make("li");
    const what = make("div", "what");
    what.append(make("b", "", job.collection ?? job.id), make("span", "", job.state));
    const bar = make("progress");
    bar.max = Math.max(1, total);
    bar.value = done;
    bar.setAttribute("aria-label", `Job ${job.collection ?? job.id}`);
    const facts = [`${whole.format(done)} of ${whole.format(total)} texts`];
    const before = board.jobRates.get(job.id);
    if (before && job.state === "running" && done > before.done) {
      const rate = ((done - before.done) * 1000) / (now - before.at);
      facts.push(`${few(rate)} a second`, `${time(((total - done) / rate) * 1000)} left`);
    }
    // A rate over a quarter of a minute: jobs move by segments.
    if (!before || now - before.at > 15000) board.jobRates.set(job.id, { at: now, done });
    if (deduplicated > 0) facts.push(`${whole.format(deduplicated)} taken from equal texts`);
    if (failed > 0) facts.push(`${whole.format(failed)} failed`);
    item.append(what, bar, make("div", "facts", facts.join(" · ")));
    return item;
  });
  element("jobs").replaceChildren(...items);
  say(note, list.more ? "More jobs wait." : items.length === 0 ? "No job yet." : "");
}

function onState(state, pause, message) {
  const texts = {
    live: "Live",
    connecting: "Connecting…",
    paused: "Paused while the page is hidden",
    lost: `Connection lost${message ? ` (${message})` : ""}; trying again`,
  };
  // Between two tries the loss goes on.
  if (state === "connecting" && element("status").dataset.state === "lost") return;
  element("status").dataset.state = state;
  say(element("status-text"), texts[state]);
  element("retry").hidden = state !== "lost";
  if (state === "live") {
    delete document.body.dataset.stale;
    element("forget").hidden = savedKey() === null;
  } else if (state === "lost") {
    document.body.dataset.stale = "";
  }
}

function onKey(hadOne) {
  element("status").dataset.state = "key";
  say(element("status-text"), "Waiting for a key");
  say(element("key-error"), hadOne ? "The server does not accept this key." : "");
  element("board").hidden = true;
  element("forget").hidden = true;
  element("retry").hidden = true;
  showDoor(true);
}

function showDoor(isShown) {
  const door = element("door");
  if (door.hidden !== isShown) return;
  door.hidden = !isShown;
  if (isShown) element("key").focus();
}

function togglePause() {
  board.isPaused = !board.isPaused;
  const button = element("pause");
  button.setAttribute("aria-pressed", `${board.isPaused}`);
  board.timeline.freeze(board.isPaused);
}

element("pause").addEventListener("click", togglePause);
element("retry").addEventListener("click", () => stream.retry());
element("window").addEventListener("change", (event) => (board.timeline.seconds = Number(event.target.value)));
element("table-box").addEventListener("toggle", () => showTable(board.timeline.shownPasses, board.budget));
element("forget").addEventListener("click", () => {
  forgetKey();
  stream.retry();
});
element("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = element("key").value.trim();
  if (key === "") return;
  element("key").value = "";
  saveKey(key);
  stream.retry();
});
