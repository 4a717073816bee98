// The time line: what the index tells of faults, never thinner than two pixels, from buckets that the server makes for each zoom.

import { ask, newest } from "./asking.js";
import { span as spanOf } from "./overview.js";

// what there is one of, and several
export const KINDS = {
  missing: ["missing number", "missing numbers"], pause: ["pause", "pauses"], repeat: ["repeated number", "repeated numbers"],
  back: ["number that goes back", "numbers that go back"], clock: ["clock step back", "clock steps back"],
  fault: ["frame that cannot be read", "frames that cannot be read"], absent: ["instant without a frame", "instants without a frame"],
};
// in the order in which they are drawn: none hides all of another
const COLOURS = { absent: "--absent", missing: "--missing", pause: "--pause", repeat: "--order", back: "--order", clock: "--clock", fault: "--fault" };
const THINNEST = 2; // pixels
const MOST = 1024; // buckets
const NEAR = 4; // pixels: whoever clicks so close to a mark means it

// How much of a kind there is at a place.
export function amountOf(kind, amount) {
  if (kind === "pause" || kind === "clock") return `${KINDS[kind][0]} of ${spanOf(amount)}`;
  return amount > 1 ? `${amount} ${KINDS[kind][1]}` : KINDS[kind][0];
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function fitted(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.max(1, canvas.clientWidth), Math.max(1, canvas.clientHeight)];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

// As many as there are pixels, and no more than an answer holds that is no burden.
export function bucketsOf(canvas) {
  return Math.min(MOST, Math.max(1, Math.round(canvas.clientWidth)));
}

// A line over a canvas at the frame that is shown: moved alone, so that nothing under it is drawn anew for each frame; thinner than
// a mark, so that one at this frame is seen.
export class Here {
  constructor(canvas) {
    this.canvas = canvas;
    this.mark = Object.assign(document.createElement("i"), { className: "here" });
    canvas.after(this.mark);
  }

  move(index, [start, stop]) {
    const width = this.canvas.clientWidth;
    this.mark.hidden = index < start || index >= stop;
    const x = Math.floor(((index + 0.5 - start) / (stop - start)) * width);
    this.mark.style.transform = `translateX(${Math.min(width - 1, Math.max(0, x))}px)`;
  }
}

export class Line {
  // canvas; question: r, align; go(step), zoom(factor, step), pan(frames): what the reader does
  constructor(canvas, question, cameras, { go, zoom = null, pan = null, name }) {
    Object.assign(this, { canvas, question, cameras, name });
    this.span = [0, 1];
    this.index = 0;
    this.marks = [null, null];
    this.window = null;
    this.answers = [];
    this.here = new Here(canvas);
    this.load = newest(async (signal) => {
      const [start, stop] = this.span;
      const buckets = bucketsOf(this.canvas);
      const answers = await Promise.all(
        this.cameras.map((_, camera) => ask("timeline", { ...this.question, camera, start, stop, buckets }, signal)),
      );
      this.answers = answers;
      this.draw();
    });
    new ResizeObserver(() => this.changed()).observe(canvas);
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      const [start, stop] = this.span;
      return Math.min(stop - 1, Math.floor(start + part * (stop - start)));
    };
    let held = false;
    canvas.addEventListener("pointerdown", (event) => {
      held = true;
      canvas.setPointerCapture(event.pointerId);
      go(this.under(event.offsetX)?.position ?? at(event)); // nobody hits one of ten thousand frames
    });
    canvas.addEventListener("pointermove", (event) => {
      if (held) go(at(event));
      const found = this.under(event.offsetX);
      canvas.title = found ? `position ${found.position}: ${amountOf(found.kind, found.amount)}` : "";
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (held = false));
    if (zoom) {
      canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(((event.deltaX || event.deltaY) / 600) * (this.span[1] - this.span[0]));
        else zoom(Math.exp(event.deltaY / 300), at(event));
      }, { passive: false });
    }
  }

  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load().catch((error) => (this.canvas.title = error.message)), 60);
    this.draw();
  }

  show(span) {
    if (span[0] === this.span[0] && span[1] === this.span[1] && this.answers.length) return;
    this.span = span;
    this.changed();
  }

  move(index, said) {
    this.index = index;
    const canvas = this.canvas;
    canvas.setAttribute("aria-valuemin", this.span[0]);
    canvas.setAttribute("aria-valuemax", this.span[1] - 1);
    canvas.setAttribute("aria-valuenow", index);
    canvas.setAttribute("aria-valuetext", said);
    this.here.move(index, this.span);
  }

  x(index, width) {
    const [start, stop] = this.span;
    return ((index - start) / (stop - start)) * width;
  }

  // What is wrong at a pixel, or close by; nothing where each frame has some pixels of its own.
  under(x) {
    const width = this.canvas.clientWidth;
    let best = null;
    for (const { start, stop, buckets, events } of (this.span[1] - this.span[0]) * NEAR <= width ? [] : this.answers) {
      for (const [kind, found] of Object.entries(events)) {
        for (const [bucket, amount, position] of found) {
          const away = Math.abs(this.x(start + ((bucket + 0.5) * (stop - start)) / buckets, width) - x);
          if (away < NEAR && (!best || away < best.away)) best = { away, kind, amount, position };
        }
      }
    }
    return best;
  }

  draw() {
    cancelAnimationFrame(this.drawing);
    this.drawing = requestAnimationFrame(() => this.paint());
  }

  paint() {
    const [context, width, height] = fitted(this.canvas);
    const labels = 14;
    const band = height - labels;
    context.fillStyle = colour("--bar");
    context.fillRect(0, 0, width, band);
    if (this.window) { // under the marks: where it is narrow it would hide one
      const [a, b] = [this.x(this.window[0], width), this.x(this.window[1], width)];
      context.strokeStyle = colour("--accent");
      context.lineWidth = 1.5;
      context.strokeRect(Math.max(0.75, a), 0.75, Math.max(3, Math.min(width - 1, b) - a - 1), band - 1.5);
    }
    const each = band / Math.max(1, this.answers.length);
    this.answers.forEach((answer, camera) => {
      const top = camera * each;
      const place = (bucket) => this.x(answer.start + (bucket * (answer.stop - answer.start)) / answer.buckets, width);
      context.fillStyle = colour("--edge");
      for (const border of answer.chunks ?? []) context.fillRect(this.x(border, width), top, 1, each);
      for (const [kind, name] of Object.entries(COLOURS)) {
        const found = answer.events[kind] ?? [];
        context.fillStyle = colour(name);
        // numbers that are missing take the whole height, what else there is a part of it, so that both are seen
        const [from, size] = kind === "missing" || kind === "fault" ? [0, each] : kind === "pause" ? [each * 0.55, each * 0.45] : [0, each * 0.45];
        for (const [bucket] of found) {
          const x = place(bucket);
          context.fillRect(Math.min(x, width - THINNEST), top + from, Math.max(THINNEST, place(bucket + 1) - x), size);
        }
      }
      if (camera) {
        context.fillStyle = colour("--back");
        context.fillRect(0, top, width, 1);
      }
    });
    const [from, to] = this.marks;
    if (from !== null || to !== null) {
      const a = this.x(from ?? to, width);
      context.fillStyle = colour("--accent");
      context.globalAlpha = 0.3;
      context.fillRect(a, 0, Math.max(THINNEST, this.x((to ?? from) + 1, width) - a), band);
      context.globalAlpha = 1;
    }
    context.fillStyle = colour("--quiet");
    context.font = "10.5px system-ui, sans-serif";
    let free = 0;
    let day = "";
    for (const [position, text] of this.answers[0]?.ticks ?? []) {
      const [date, clock, ...zone] = text.split(" ");
      const whole = clock?.replace(/\.000$/, "");
      const said = zone.length ? (date === day ? whole : `${date} ${whole}`) : text;
      const x = this.x(position, width);
      const wide = context.measureText(said).width;
      if (x < free || x + wide > width) continue;
      context.fillRect(x, band, 1, 3);
      context.fillText(said, x + 3, height - 3);
      free = x + wide + 14;
      if (zone.length) day = date;
    }
    this.here.move(this.index, this.span);
  }
}
