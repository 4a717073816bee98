// What was recorded beside the frames, in step with them: lowest and highest value of each bucket, and ticks for events.

import { ask, newest } from "./asking.js";
import { Here, bucketsOf, colour, fitted } from "./timeline.js";

export const INTERVALS = -1; // the column of the index itself

export class Plots {
  constructor(place, choice, question, { go, values }) {
    Object.assign(this, { place, choice, question, go, values });
    this.plots = new Map(); // column -> plot
    this.span = [0, 1];
    this.index = 0;
  }

  // List the columns; millions of rows are read for a while, so plots grow until all are there.
  async open(panel) {
    panel.dataset.ready = "yes";
    for (let known = -1; ; ) {
      const { columns, read } = await ask("columns", { ...this.question, camera: 0 });
      if (columns.length !== known) this.list(columns);
      known = columns.length;
      this.reading.textContent = read < 1 ? `reading, ${Math.round(read * 100)} %` : columns.length ? "" : "Nothing was recorded beside the frames.";
      for (const plot of this.plots.values()) this.changed(plot);
      if (read >= 1) return;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  list(columns) {
    const all = [{ name: "interval between frames (s)", kind: "number", column: INTERVALS }, ...columns.map((c, column) => ({ ...c, column }))];
    this.reading ??= Object.assign(document.createElement("p"), { className: "quiet" });
    this.choice.replaceChildren(
      ...all.map(({ name, kind, column }) => {
        const label = document.createElement("label");
        const box = Object.assign(document.createElement("input"), { type: "checkbox" });
        box.checked = this.plots.has(column);
        box.addEventListener("change", () => (box.checked ? this.add(column, name, kind) : this.remove(column)));
        label.append(box, document.createTextNode(name));
        return label;
      }),
      this.reading,
    );
  }

  add(column, name, kind) {
    const element = document.createElement("div");
    element.className = "plot";
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `plot of ${name}`);
    const output = document.createElement("output");
    const reach = Object.assign(document.createElement("span"), { className: "quiet" });
    const head = document.createElement("p");
    head.append(Object.assign(document.createElement("span"), { textContent: name }), reach, output);
    const ruled = Object.assign(document.createElement("div"), { className: "ruled" });
    ruled.append(canvas);
    element.append(head, ruled);
    this.place.append(element);
    const plot = { element, canvas, output, reach, name, kind, column, answer: null, here: new Here(canvas) };
    plot.load = newest(async (signal) => {
      const [start, stop] = this.span;
      const buckets = bucketsOf(canvas);
      plot.answer = await ask("plot", { ...this.question, camera: 0, column, start, stop, buckets }, signal);
      this.paint(plot);
    });
    canvas.addEventListener("pointerdown", (event) => {
      const box = canvas.getBoundingClientRect();
      const [start, stop] = this.span;
      this.go(Math.min(stop - 1, Math.floor(start + ((event.clientX - box.left) / box.width) * (stop - start))));
    });
    plot.observer = new ResizeObserver(() => this.changed(plot));
    plot.observer.observe(canvas);
    this.plots.set(column, plot);
    this.tell();
  }

  remove(column) {
    const plot = this.plots.get(column);
    plot?.observer.disconnect();
    plot?.element.remove();
    this.plots.delete(column);
  }

  changed(plot) {
    clearTimeout(plot.timer);
    plot.timer = setTimeout(() => plot.load().catch((error) => (plot.output.textContent = error.message)), 60);
  }

  show(span) {
    this.span = span;
    for (const plot of this.plots.values()) this.changed(plot);
  }

  move(index) {
    this.index = index;
    for (const plot of this.plots.values()) plot.here.move(index, this.span);
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell(), 80);
  }

  async tell() {
    if (!this.plots.size) return;
    const index = this.index;
    try {
      const { values } = await ask("values", { ...this.question, camera: 0, index });
      if (index !== this.index) return;
      for (const plot of this.plots.values()) {
        if (plot.column !== INTERVALS) plot.output.textContent = values[plot.column] ?? "–";
        else plot.output.textContent = this.values(index);
      }
    } catch (error) {
      for (const plot of this.plots.values()) plot.output.textContent = error.message;
    }
  }

  paint(plot) {
    const [context, width, height] = fitted(plot.canvas);
    const { answer } = plot;
    if (!answer) return;
    const [start, stop] = this.span;
    const x = (index) => ((index - start) / (stop - start)) * width;
    const place = (bucket) => x(answer.start + (bucket * (answer.stop - answer.start)) / answer.buckets);
    context.fillStyle = colour("--accent");
    if (answer.events) {
      for (const [bucket] of answer.events) context.fillRect(place(bucket), 4, Math.max(2, place(bucket + 1) - place(bucket)), height - 8);
    } else {
      const lows = answer.low.filter((v) => v !== null);
      const highs = answer.high.filter((v) => v !== null);
      let low = lows.reduce((a, b) => Math.min(a, b), Infinity);
      let high = highs.reduce((a, b) => Math.max(a, b), -Infinity);
      if (low > high) return;
      const [least, most] = [low, high].map((value) => Number(value.toPrecision(5)));
      plot.reach.textContent = `${least} to ${most}`;
      if (low === high) [low, high] = [low - 1, high + 1];
      const y = (value) => 4 + (1 - (value - low) / (high - low)) * (height - 8);
      context.strokeStyle = colour("--accent");
      context.lineWidth = 1.2;
      context.beginPath();
      for (let b = 0; b < answer.low.length; b++) {
        if (answer.low[b] === null) continue;
        const [at, top, bottom] = [place(b + 0.5), y(answer.high[b]), y(answer.low[b])];
        context.fillRect(at - 0.6, top - 0.6, 1.2, Math.max(1.2, bottom - top + 1.2));
        context.lineTo(at, (top + bottom) / 2);
      }
      context.stroke();
    }
    plot.here.move(this.index, this.span);
  }
}
