// The picture: passes as blocks of rows on a time axis, one lane a thread.

// The server's looks come four times a second; the picture lags by more than one, so that it never waits for the next.
const lag = 400;
const keptMilliseconds = 20000;
const keptPasses = 8000;
const framesPerSecond = 30;
const labelWidth = 62;
const axisHeight = 20;

class Timeline {
  constructor(canvas) {
    this.canvas = canvas;
    this.seconds = 1;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.lastDrawing = 0;
    this.reset(1);
    const recolour = () => (this.colours = null);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
    const tick = (time) => {
      if (time - this.lastDrawing >= (this.calm.matches ? 1000 : 1000 / framesPerSecond) - 2) this.draw(time);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  reset(threads) {
    this.threads = threads;
    this.passes = [];
    this.running = [];
    this.offset = Infinity;
    this.still = null;
    this.scale = 16;
  }

  add(activity, arrival) {
    for (const pass of activity.passes) this.passes.push(pass);
    const oldest = activity.now_ms - keptMilliseconds;
    let first = Math.max(0, this.passes.length - keptPasses);
    while (first < this.passes.length && this.passes[first].start_ms + this.passes[first].ms < oldest) first += 1;
    if (first > 0) this.passes.splice(0, first);
    this.running = activity.running;
    this.latest = activity.now_ms;
    // The look that took the shortest way tells best how the two clocks stand; it is forgotten slowly.
    this.offset = Math.min(this.offset + 0.05, arrival - activity.now_ms);
    for (const pass of activity.passes) this.threads = Math.max(this.threads, pass.thread + 1);
  }

  /** Keeps showing this moment, while what comes is gathered as before. */
  freeze(isFrozen) {
    this.still = isFrozen
      ? { now: this.shownNow(performance.now()), passes: this.passes.slice(), running: this.running }
      : null;
  }

  get shownPasses() {
    return this.still?.passes ?? this.passes;
  }

  /** The server's time at the right edge. */
  shownNow(time) {
    if (this.still) return this.still.now;
    // Where nothing more comes, it stops at the last moment that is known.
    return this.offset === Infinity ? 0 : Math.min(time - this.offset - lag, this.latest);
  }

  draw(time) {
    this.lastDrawing = time;
    const { canvas } = this;
    const width = canvas.clientWidth;
    if (width === 0) return;
    const gap = this.threads > 16 ? 2 : 8;
    const laneHeight = Math.round(Math.max(10, Math.min(140, 480 / this.threads) - gap));
    const height = this.threads * (laneHeight + gap) + axisHeight;
    const dots = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * dots) || canvas.height !== Math.round(height * dots)) {
      canvas.width = Math.round(width * dots);
      canvas.height = Math.round(height * dots);
      canvas.style.height = `${height}px`;
    }
    this.colours ??= palette();
    const ink = canvas.getContext("2d");
    ink.setTransform(dots, 0, 0, dots, 0, 0);
    ink.clearRect(0, 0, width, height);
    const now = this.shownNow(time);
    const perMillisecond = (width - labelWidth) / (this.seconds * 1000);
    const begin = now - this.seconds * 1000;
    const visible = this.shownPasses.filter((pass) => pass.start_ms < now && pass.start_ms + pass.ms > begin);
    const running = (this.still?.running ?? this.running).filter((pass) => pass.start_ms < now);
    this.rescale(visible.concat(running));

    ink.font = "12px system-ui, sans-serif";
    ink.textBaseline = "middle";
    for (let thread = 0; thread < this.threads; thread += 1) {
      const top = thread * (laneHeight + gap);
      ink.fillStyle = this.colours.track;
      ink.fillRect(labelWidth, top, width - labelWidth, laneHeight);
      if (laneHeight >= 14) {
        ink.fillStyle = this.colours.quiet;
        ink.fillText(`thread ${thread}`, 0, top + laneHeight - 8);
      }
      if (laneHeight >= 60) this.drawScale(ink, width, top, laneHeight);
    }
    this.drawAxis(ink, width, height);
    ink.save();
    ink.beginPath();
    ink.rect(labelWidth, 0, width - labelWidth, height - axisHeight);
    ink.clip();
    // What runs between two steps of a pass lies on top of it.
    for (const pass of visible.concat(running).sort((one, other) => one.pass - other.pass)) {
      const end = pass.ms === null ? Math.max(pass.start_ms, Math.min(now, this.latest)) : pass.start_ms + pass.ms;
      const left = labelWidth + (pass.start_ms - begin) * perMillisecond;
      // It may end to the right of the picture, which lags behind.
      const right = labelWidth + (end - begin) * perMillisecond;
      const floor = pass.thread * (laneHeight + gap) + laneHeight;
      drawPass(ink, pass, left, right, floor, this.heightOf(pass.texts, laneHeight), this.colours);
    }
    ink.restore();
  }

  /** A lane is as high as a power of four of texts that holds the largest pass in sight. */
  rescale(passes) {
    const most = passes.reduce((most, pass) => Math.max(most, pass.texts), 0);
    let scale = 16;
    while (scale < most) scale *= 4;
    // It grows at once and shrinks only when little of it is used, so that it does not jump to and fro.
    if (scale > this.scale || most * 8 < this.scale) this.scale = scale;
  }

  // By the square root, so that one text is seen beside sixty-four.
  heightOf(texts, laneHeight) {
    return laneHeight * Math.sqrt(texts / this.scale);
  }

  drawScale(ink, width, top, laneHeight) {
    ink.textAlign = "right";
    for (let texts = this.scale; texts >= 4; texts /= 4) {
      const y = Math.round(top + laneHeight - this.heightOf(texts, laneHeight));
      ink.fillStyle = this.colours.line;
      if (texts < this.scale) ink.fillRect(labelWidth, y, width - labelWidth, 1);
      ink.fillStyle = this.colours.quiet;
      ink.fillText(texts === this.scale ? `${texts} texts` : `${texts}`, labelWidth - 6, Math.max(y, top + 6));
    }
    ink.textAlign = "left";
  }

  drawAxis(ink, width, height) {
    const steps = this.seconds <= 1 ? this.seconds * 10 : this.seconds <= 5 ? this.seconds * 2 : this.seconds / 3;
    const every = width < 500 ? 2 : 1;
    for (let step = 0; step <= steps; step += 1) {
      const x = width - ((width - labelWidth) * step) / steps;
      ink.fillStyle = this.colours.line;
      ink.fillRect(Math.min(Math.round(x), width - 1), 0, 1, height - axisHeight + 3);
      if (step % every !== 0 || step === steps) continue;
      ink.fillStyle = this.colours.quiet;
      ink.textAlign = step === 0 ? "right" : "center";
      const ago = Math.round((this.seconds * 1000 * step) / steps) / 1000;
      ink.fillText(step === 0 ? "now" : `−${ago} s`, step === 0 ? width : x, height - 7);
    }
    ink.textAlign = "left";
  }
}

function drawPass(ink, pass, left, right, floor, height, colours) {
  const span = Math.max(1, right - left - (right - left > 4 ? 1 : 0));
  // Narrower than this, rows cannot be told apart.
  if (span < 3) {
    ink.fillStyle = colours[pass.lane];
    ink.fillRect(left, floor - height, span, height);
    return;
  }
  if (pass.interlude) {
    // It lies on the pass that it interrupted.
    ink.fillStyle = colours.track;
    ink.fillRect(left - 1, floor - height - 1, span + 2, height + 1);
  }
  ink.fillStyle = colours.padding;
  ink.fillRect(left, floor - height, span, height);
  ink.fillStyle = colours[pass.lane];
  const rows = sortedLengths(pass);
  const step = height / rows.length;
  const thickness = step >= 3 ? step - 1 : step;
  for (let row = 0; row < rows.length; row += 1) {
    ink.fillRect(left, floor - (row + 1) * step, (span * rows[row]) / pass.width, thickness);
  }
}

/** The longest first; they lie at the bottom. */
function sortedLengths(pass) {
  pass.sorted ??= pass.lengths.slice().sort((one, other) => other - one);
  return pass.sorted;
}

function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    interactive: colour("interactive"), bulk: colour("bulk"), padding: colour("padding"),
    track: colour("track"), line: colour("line"), quiet: colour("quiet"),
  };
}
