// The time line: what the index tells of faults, never thinner than two pixels, from buckets that the server makes for each zoom.

import { ask, newest } from "./asking.js";

// what there is one of, and several
export const KINDS = {
  missing: ["missing number", "missing numbers"], pause: ["pause", "pauses"], repeat: ["repeated number", "repeated numbers"],
  back: ["number that goes back", "numbers that go back"], clock: ["clock step back", "clock steps back"],
  fault: ["frame that cannot be read", "frames that cannot be read"], absent: ["no frame at this instant", "instants without a frame"],
};
const COLOURS = { missing: "--missing", pause: "--pause", repeat: "--order", back: "--order", clock: "--clock", fault: "--fault", absent: "--absent" };
const THINNEST = 2; // pixels

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

export class Line {
  // canvas; question: r, align; go(step), zoom(factor, step), pan(frames): what the reader does
  constructor(canvas, question, cameras, { go, zoom = null, pan = null, name }) {
    Object.assign(this, { canvas, question, cameras, name });
    this.span = [0, 1];
    this.index = 0;
    this.marks = [null, null];
    this.window = null;
    this.answers = [];
    this.load = newest(async (signal) => {
      const [start, stop] = this.span;
      const buckets = Math.min(4096, Math.max(1, Math.round(this.canvas.clientWidth)));
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
      go(at(event));
    });
    canvas.addEventListener("pointermove", (event) => held && go(at(event)));
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
    this.draw();
  }

  x(index, width) {
    const [start, stop] = this.span;
    return ((index - start) / (stop - start)) * width;
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
    const each = band / Math.max(1, this.answers.length);
    this.answers.forEach((answer, camera) => {
      const top = camera * each;
      const place = (bucket) => this.x(answer.start + (bucket * (answer.stop - answer.start)) / answer.buckets, width);
      context.fillStyle = colour("--edge");
      for (const border of answer.chunks ?? []) context.fillRect(this.x(border, width), top, 1, each);
      for (const [kind, found] of Object.entries(answer.events)) {
        context.fillStyle = colour(COLOURS[kind]);
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
    if (this.window) {
      const [a, b] = [this.x(this.window[0], width), this.x(this.window[1], width)];
      context.strokeStyle = colour("--accent");
      context.lineWidth = 1.5;
      context.strokeRect(Math.max(0.75, a), 0.75, Math.max(3, Math.min(width - 1, b) - a - 1), band - 1.5);
    }
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
      const said = zone.length ? (date === day ? clock : `${date} ${clock}`) : text;
      const x = this.x(position, width);
      const wide = context.measureText(said).width;
      if (x < free || x + wide > width) continue;
      context.fillRect(x, band, 1, 3);
      context.fillText(said, x + 3, height - 3);
      free = x + wide + 14;
      if (zone.length) day = date;
    }
    const x = Math.min(width - THINNEST, Math.max(0, this.x(this.index + 0.5, width)));
    if (this.index >= this.span[0] && this.index < this.span[1]) {
      context.fillStyle = colour("--text");
      context.fillRect(x - 1, 0, THINNEST, band);
      context.beginPath();
      context.moveTo(x - 5, 0);
      context.lineTo(x + 5, 0);
      context.lineTo(x, 6);
      context.fill();
    }
  }
}
